"""A job's life in UCloud's ingoing API: each call by its UCloud name, from HTTP down to the tracker.

https://docs.cloud.sdu.dk, Ingoing API of Jobs. Requests and responses are bulk: one response for
each item, in order; `null` and `{}` both stand for "done".
"""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter, BackgroundTasks, Depends
from pydantic import ValidationError

from slurm_provider.config import Era
from slurm_provider.facade.auth import ActingUser, documented
from slurm_provider.facade.errors import Refused, mistake_in_words
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.jobmap import JobChange, JobMap, JobRow, LinkTaken
from slurm_provider.jobmap.store import Decision
from slurm_provider.rpc.cluster import ClusterUnavailable
from slurm_provider.tracker.intake import JobRefused
from slurm_provider.tracker.operations import OperationRefused
from slurm_provider.tracker.restarts import ended_for_good, never_again, repeated, restarted
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse, Empty, FindByStringId, Received
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import Job, JobState, NewJob, SimpleDuration, UnreadJob

log = structlog.get_logger()

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])


@router.post("")
async def create(request: BulkRequest[NewJob], services: TheServices) -> BulkResponse[FindByStringId | None]:
    """Submit jobs. A known job is not submitted again, unless it is to start anew after its end.

    What can be seen to be wrong is refused: with 400 when it is the only item, else by a FAILURE
    update for that item. Once the intent is written, a job's fate is told by updates alone.
    """
    ids = [_id_of(item, index) for index, item in enumerate(request.items)]
    alone = len(ids) == 1
    await services.jobmap.call(lambda jobmap: jobmap.suspects.acquitted(ids))
    new = []
    for job_id, item in zip(ids, request.items, strict=True):
        try:
            if checked := await _checked(job_id, item, services):
                new.append(checked)
            else:
                await services.jobmap.call(JobMap.change_job, job_id, repeated)
        except JobRefused as error:
            place = "items.0." if isinstance(item, UnreadJob) and alone else ""
            await _refuse(job_id, f"{place}{error}", services, alone=alone)
    taken = [row.job_id for row, _ in new]
    await services.ssh.ask([job for job in request.items if isinstance(job, Job) and job.id in taken])
    refused = await _write(new, services)
    for job_id, why in refused.items():
        await _refuse(job_id, why, services, alone=alone)
    services.ssh.hurry()
    tries = [services.tracker.submitter.start(job_id) for job_id in taken if job_id not in refused]
    if tries:
        # Core gives up at 5 s: what takes longer goes on in the background.
        await asyncio.wait(tries, timeout=services.config.facade.create_wait_seconds)
    services.tracker.hurry_and_tell()
    return BulkResponse(responses=[None] * len(request.items))


async def _write(new: list[tuple[JobRow, JobChange]], services: Services) -> dict[str, str]:
    """Write the intents of jobs; return which were not written, and why.

    They were checked one by one: what they share, a public link, another may have taken since.
    """
    fresh = [(row, change) for row, change in new if not row.restart]
    refused = await services.jobmap.call(JobMap.add_jobs, fresh)
    for row, change in new:
        if row.restart:
            again = partial(restarted, anew=row, change=change)
            try:
                await services.jobmap.call(JobMap.change_job, row.job_id, again)
            except LinkTaken as error:
                refused[row.job_id] = str(error)
    return refused


async def _refuse(job_id: str, why: str, services: Services, *, alone: bool) -> None:
    """Say why a job will not be submitted: in the answer where it is the only item, else by an update."""
    if await services.jobmap.call(JobMap.change_job, job_id, partial(ended_for_good, why=why)):
        return
    if alone:
        raise Refused(400, why)
    update = JobUpdate(state=JobState.FAILURE, status=f"The job cannot run: {why}")
    await services.jobmap.call(JobMap.tell, job_id, update)


def _id_of(item: Job | UnreadJob, index: int) -> str:
    if item.id is None:
        raise Refused(400, _mistake(item, "items", index))
    return item.id


def _mistake(item: UnreadJob, *place: str | int) -> str:
    try:
        Job.model_validate(item.root)
    except ValidationError as error:
        return mistake_in_words(error.errors()[0], *place)
    return "not understood"


async def _checked(job_id: str, item: Job | UnreadJob, services: Services) -> tuple[JobRow, JobChange] | None:
    """Return what is to be written of a new job, None for one that is known; raise JobRefused."""
    try:
        if isinstance(item, Job):
            return await services.intake.check(item)
        if await services.jobmap.call(JobMap.job, job_id):
            return None
        raise JobRefused(_mistake(item))
    except JobRefused:
        raise
    except Exception as error:
        log.exception("job not understood", job_id=job_id)
        raise JobRefused("the provider could not understand the job") from error


@router.post("/terminate")
async def terminate(
    request: BulkRequest[Job], services: TheServices, user: ActingUser, background: BackgroundTasks
) -> BulkResponse[Empty]:
    """End jobs: the wish is written, Slurm asked, and the end told once Slurm confirms it.

    A job that is not known is looked for in Slurm once the call has been answered, then ended.
    """
    wish = partial(_wish_to_end, user=user, era=services.config.core.era)
    unknown = await _end(request.items, wish, services)
    if unknown:
        background.add_task(_adopt_and_end, unknown, wish, services)
    return BulkResponse(responses=[Empty() for _ in request.items])


async def _end(jobs: Sequence[Job], wish: Decision, services: Services) -> list[Job]:
    """Write the wish to end jobs and ask Slurm for it; return the jobs that are not known."""
    deadline = asyncio.get_running_loop().time() + services.config.facade.create_wait_seconds
    living, unknown = [], []
    for job in jobs:
        row = await services.jobmap.call(JobMap.change_job, job.id, wish)
        if row is None:
            unknown.append(job)
        elif not row.state.is_final:
            living.append(row)
    services.living.hurry()
    try:
        async with asyncio.timeout_at(deadline):
            await asyncio.gather(*(_cancel(row, services) for row in living))
    except TimeoutError:
        log.info("not every job cancelled at once", jobs=len(living))  # every tick asks again
    services.tracker.hurry_and_tell()
    return unknown


async def _adopt_and_end(jobs: Sequence[Job], wish: Decision, services: Services) -> None:
    await services.adoption.verify(jobs)
    await _end(jobs, wish, services)


def _wish_to_end(row: JobRow, *, user: str | None, era: Era) -> JobChange | None:
    if row.state.is_final:
        return never_again(row)
    if row.wished_state is not None:
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
    cluster = services.clusters.get(row.cluster)
    if cluster is None:
        log.warning("job not cancelled", job_id=row.job_id, reason=f"there is no [clusters.{row.cluster}]")
    elif row.slurm_id is None:
        services.tracker.submitter.start(row.job_id)
    else:
        try:
            await cluster.cancel(row.local_user, row.slurm_id)
        except ClusterUnavailable as error:
            log.warning("job not cancelled yet", job_id=row.job_id, reason=str(error))


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
    reasons = [_reason(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]
    if reasons:
        raise Refused(400, "; ".join(dict.fromkeys(reasons)))
    return BulkResponse(responses=[Empty() for _ in operations])


def _reason(error: BaseException) -> str:
    match error:
        case OperationRefused():
            return str(error)
        case ClusterUnavailable():
            return f"Slurm does not answer just now, try again later: {error}"
        case Exception():
            log.error("operation failed", exc_info=error)
            return "the provider could not do it; its log says why"
        case _:
            raise error


@router.post("/verify")
async def verify(request: BulkRequest[Job], services: TheServices, background: BackgroundTasks) -> Empty:
    """Make sure that Core and we mean the same by these jobs; what differs is told by updates."""
    background.add_task(services.adoption.verify, request.items)
    return Empty()
