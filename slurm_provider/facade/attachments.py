"""Resources that a user would give to, or take from, a job that is already there."""

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.errors import Refused
from slurm_provider.ucloud.bulk import Empty, Received
from slurm_provider.ucloud.jobs import Job
from slurm_provider.ucloud.values import ParameterValue

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])


class AttachedResource(Received):
    """A job and the resource that it is to get, or to lose."""

    job: Job
    resource: ParameterValue


@router.post("/attachResource")
async def attach_resource(request: AttachedResource) -> Empty:
    """Give a resource to a job: impossible, since Slurm takes no other script for a job that it has."""
    raise Refused(
        400,
        f"a resource ({request.resource.type}) cannot be added to a job that Slurm has already;"
        " end the job and start it again with the resource",
    )


@router.post("/detachResource")
async def detach_resource(request: AttachedResource) -> Empty:
    """Take a resource from a job: impossible likewise."""
    raise Refused(
        400,
        f"a resource ({request.resource.type}) cannot be taken from a job that Slurm has already;"
        " end the job, and start it again without the resource",
    )
