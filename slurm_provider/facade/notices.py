"""What Core only lets the provider know about jobs and workspaces."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.jobmap import JobMap
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse, Empty, Received
from slurm_provider.ucloud.jobs import Job, ResourceOwner
from slurm_provider.ucloud.permissions import AclEntity, AclEntry

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])


class UpdatedAcl(Received):
    """A job whose permissions have changed."""

    resource: Job
    added: Sequence[AclEntry] = ()
    deleted: Sequence[AclEntity] = ()

    @property
    def without_access(self) -> list[AclEntity]:
        """Who may not change the job any more, which sessions with it need."""
        return [*self.deleted, *(entry.entity for entry in self.added if not entry.may_edit)]


@router.post("/updateAcl")
async def update_acl(request: BulkRequest[UpdatedAcl], services: TheServices) -> BulkResponse[Empty]:
    """Close the sessions of whoever has lost access; Core checks permissions itself at each call."""
    for item in request.items:
        for entity in item.without_access:
            await _shut_out(item.resource, entity, services)
    services.living.hurry()
    return BulkResponse(responses=[Empty() for _ in request.items])


async def _shut_out(job: Job, entity: AclEntity, services: Services) -> None:
    """Close a user's sessions with a job; of a group, whose members only Core knows, all but the owner's."""
    row = await services.jobmap.call(JobMap.job, job.id)
    owner = row.ucloud_user if row and not entity.username else None
    await services.jobmap.call(_close_sessions, job.id, user=entity.username, except_user=owner)


def _close_sessions(jobmap: JobMap, job_id: str, *, user: str | None, except_user: str | None) -> None:
    reason = "the job is no longer shared with the user"
    jobmap.sessions.close(reason, job_id=job_id, user=user, except_user=except_user)


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
