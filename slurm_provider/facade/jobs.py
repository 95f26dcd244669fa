"""UCloud's ingoing API for jobs: each call by its UCloud name, from HTTP down to the tracker.

https://docs.cloud.sdu.dk, Ingoing API of Jobs. Requests and responses are bulk: one response for
each item, in order; `null` and `{}` both stand for "done".
"""

import asyncio
import operator
from collections.abc import Coroutine
from functools import partial, reduce
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query

from slurm_provider.config import Era
from slurm_provider.facade.auth import ActingUser, from_core
from slurm_provider.facade.errors import Refused
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.facade.support import support_of
from slurm_provider.jobmap import JobChange, JobMap, JobRow
from slurm_provider.rpc.cluster import ClusterUnavailable
from slurm_provider.tracker.intake import JobRefused
from slurm_provider.tracker.operations import OperationRefused
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse, Empty, FindByStringId, Received
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import Job, JobState, ResourceOwner, SimpleDuration
from slurm_provider.ucloud.support import ComputeSupport
from slurm_provider.ucloud.utilization import Utilization

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(from_core)])


@router.get("/retrieveProducts")
async def retrieve_products(services: TheServices) -> BulkResponse[ComputeSupport]:
    """Say what each product can do."""
    config = services.config
    return BulkResponse(responses=[support_of(product, config) for product in config.products])


@router.post("")
async def create(request: BulkRequest[Job], services: TheServices) -> BulkResponse[FindByStringId | None]:
    """Submit jobs. A job that is known already is not submitted again.

    What can be seen to be wrong is refused: with 400 when it is the only item, else by a FAILURE
    update for that item. Once the intent is written, a job's fate is told by updates alone.
    """
    new = []
    for job in request.items:
        try:
            if checked := await services.intake.check(job):
                new.append(checked)
        except JobRefused as error:
            if len(request.items) == 1:
                raise Refused(400, str(error)) from error
            update = JobUpdate(state=JobState.FAILURE, status=f"The job cannot run: {error}")
            await services.jobmap.call(JobMap.tell, job.id, update)
    await services.jobmap.call(JobMap.add_jobs, new)
    tries = [services.tracker.submitter.start(row.job_id) for row, _ in new]
    if tries:
        # Core gives up at 5 s: what takes longer goes on in the background.
        await asyncio.wait(tries, timeout=services.config.facade.create_wait_seconds)
    services.tracker.hurry()
    return BulkResponse(responses=[None] * len(request.items))


@router.post("/terminate")
async def terminate(
    request: BulkRequest[Job], services: TheServices, user: ActingUser
) -> BulkResponse[Empty]:
    """End jobs: the wish is written, Slurm asked, and the end told once Slurm confirms it."""
    for job in request.items:
        if await services.jobmap.call(JobMap.job, job.id) is None:
            await services.adoption.adopt(job)
        wish = partial(_wish_to_end, user=user, era=services.config.core.era)
        row = await services.jobmap.call(JobMap.change_job, job.id, wish)
        if row is not None and not row.state.is_final:
            await _cancel(row, services)
    services.tracker.hurry()
    return BulkResponse(responses=[Empty() for _ in request.items])


def _wish_to_end(row: JobRow, *, user: str | None, era: Era) -> JobChange | None:
    if row.wished_state is not None or row.state.is_final:
        return None
    message = f"The job was cancelled by {user or row.ucloud_user}"
    columns: dict[str, object] = {"wished_state": JobState.SUCCESS, "wished_message": message}
    updates = []
    if era is Era.SEEDS:  # today's Core does not know CANCELING
        columns["state"] = JobState.CANCELING
        updates.append(JobUpdate(state=JobState.CANCELING, status="The job is being cancelled"))
    return JobChange(row.job_id, columns, updates=updates)


async def _cancel(row: JobRow, services: Services) -> None:
    """Ask Slurm at once; the tracker asks again at every tick until the job has ended."""
    if row.slurm_id is None:
        services.tracker.submitter.start(row.job_id)
        return
    try:
        async with asyncio.timeout(services.config.facade.create_wait_seconds):
            await services.clusters[row.cluster].cancel(row.local_user, row.slurm_id)
    except (ClusterUnavailable, TimeoutError):
        return


class ExtendItem(Received):
    """A job, and the time to add to its allocation."""

    job: Job
    requestedTime: SimpleDuration  # noqa: N815 - UCloud's own spelling


@router.post("/extend")
async def extend(request: BulkRequest[ExtendItem], services: TheServices) -> BulkResponse[Empty]:
    """Add to the time allocations of jobs; Core is told the new totals."""
    extend = services.operations.extend
    return await _each(
        [extend(item.job.id, item.requestedTime.total_seconds()) for item in request.items], services
    )


class SuspendItem(Received):
    """A job to be paused, or to go on."""

    job: Job


@router.post("/suspend")
async def suspend(request: BulkRequest[SuspendItem], services: TheServices) -> BulkResponse[Empty]:
    """Pause jobs: running ones stop, waiting ones do not start."""
    return await _each([services.operations.suspend(item.job.id) for item in request.items], services)


@router.post("/unsuspend")
async def unsuspend(request: BulkRequest[SuspendItem], services: TheServices) -> BulkResponse[Empty]:
    """Let paused jobs go on."""
    return await _each([services.operations.unsuspend(item.job.id) for item in request.items], services)


async def _each(operations: list[Coroutine[Any, Any, None]], services: Services) -> BulkResponse[Empty]:
    """Do all operations, and answer 400 with every reason where some could not be done."""
    outcomes = await asyncio.gather(*operations, return_exceptions=True)
    services.tracker.hurry_and_tell()
    refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for refusal in refusals:
        if not isinstance(refusal, OperationRefused):
            raise refusal
    if refusals:
        raise Refused(400, "; ".join(dict.fromkeys(str(refusal) for refusal in refusals)))
    return BulkResponse(responses=[Empty() for _ in operations])


@router.post("/verify")
async def verify(request: BulkRequest[Job], services: TheServices, background: BackgroundTasks) -> Empty:
    """Make sure that Core and we mean the same by these jobs; what differs is told by updates."""
    background.add_task(services.adoption.verify, request.items)
    return Empty()


@router.get("/retrieveUtilization")
async def retrieve_utilization(
    services: TheServices,
    category: Annotated[str, Query(alias="categoryId", description="A product category")],
) -> Utilization:
    """Say how busy the partitions behind a product category are."""
    partitions: dict[str, set[str]] = {}
    for product in services.config.products:
        if product.category == category:
            partitions.setdefault(product.cluster, set()).add(product.partition)
    if not partitions:
        raise Refused(404, f"there is no product category '{category}'")
    try:
        found = [await services.utilization[name].of(sorted(names)) for name, names in partitions.items()]
    except ClusterUnavailable as error:
        raise Refused(400, f"Slurm does not answer just now, try again later: {error}") from error
    return reduce(operator.add, found)


class UpdatedAcl(Received):
    """A job whose permissions have changed."""

    resource: Job


@router.post("/updateAcl")
async def update_acl(request: BulkRequest[UpdatedAcl]) -> BulkResponse[Empty]:
    """Take note of changed permissions: Core checks them itself at each call."""
    return BulkResponse(responses=[Empty() for _ in request.items])


class ResourceInitialization(Received):
    """Whose resources may need to be prepared."""

    principal: ResourceOwner | None = None


@router.post("/init")
async def init(_request: ResourceInitialization) -> Empty:
    """Prepare a workspace: nothing needs to be prepared for jobs."""
    return Empty()
