"""What Core only lets the provider know about jobs and workspaces."""

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse, Empty, Received
from slurm_provider.ucloud.jobs import Job, ResourceOwner

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])


class UpdatedAcl(Received):
    """A job whose permissions have changed."""

    resource: Job


@router.post("/updateAcl")
async def update_acl(request: BulkRequest[UpdatedAcl]) -> BulkResponse[Empty]:
    """Take note of changed permissions: Core checks them itself at each call."""
    return BulkResponse(responses=[Empty() for _ in request.items])


@router.post("/onUpdatedLabels")
async def on_updated_labels(_request: BulkRequest[Job]) -> Empty:
    """Take note of changed labels: they stay with Core, Slurm knows none."""
    return Empty()


class ResourceInitialization(Received):
    """Whose resources may need to be prepared."""

    principal: ResourceOwner | None = None


@router.post("/init")
async def init(_request: ResourceInitialization) -> Empty:
    """Prepare a workspace: nothing needs to be prepared for jobs."""
    return Empty()
