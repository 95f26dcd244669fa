"""Asking Core whether running jobs can still be paid, between the charges."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.tracker.charges import charge_prefix, units_used
from slurm_provider.ucloud.control import ChargeItem
from slurm_provider.ucloud.jobs import JobState

log = structlog.get_logger()

OUT_OF_CREDITS = "The job was terminated (No credits)"
ITEMS_IN_A_CALL = 100
LONGEST_SECONDS = 5.0


class CreditCheck:
    """`checkCredits` for each running job: at its start, and once a unit that no charge has asked about.

    `cancel_soon` is called when Core says that jobs cannot be paid. A check takes no more than
    `longest_seconds`, for the tick waits for it.
    """

    def __init__(
        self,
        provider_id: str,
        jobmap: Door,
        core: CoreClient,
        cancel_soon: Callable[[], None],
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._provider_id = provider_id
        self._jobmap = jobmap
        self._core = core
        self._cancel_soon = cancel_soon
        self._longest_seconds = longest_seconds

    async def run(self, cluster: str) -> None:
        """Check the jobs of a cluster that are due; a Core that does not answer is asked at the next tick."""
        jobs = [job for job in await self._jobmap.call(JobMap.open_jobs, cluster) if is_due(job)]
        try:
            async with asyncio.timeout(self._longest_seconds):
                for start in range(0, len(jobs), ITEMS_IN_A_CALL):
                    await self._check(jobs[start : start + ITEMS_IN_A_CALL])
        except CoreUnavailable as error:
            log.warning("credits not checked", cluster=cluster, reason=str(error))
        except TimeoutError:
            reason = f"Core did not answer within {self._longest_seconds:g} s"
            log.warning("credits not checked", cluster=cluster, reason=reason)

    async def _check(self, jobs: Sequence[JobRow]) -> None:
        try:
            answer = await self._core.check_credits([self._item(job) for job in jobs])
        except CoreRefused as error:
            await self._check_apart(jobs, error)
            return
        for job_id in answer.without_funds:
            log.warning("out of credits", job_id=job_id)
            await self._jobmap.call(JobMap.change_job, job_id, out_of_credits)
            self._cancel_soon()
        await self._note_checked(jobs)

    async def _check_apart(self, jobs: Sequence[JobRow], error: CoreRefused) -> None:
        """Ask about each job by itself: Core refuses a whole batch for one id that it does not know."""
        if len(jobs) > 1:
            for job in jobs:
                await self._check([job])
            return
        log.warning("credits not checked", job_id=jobs[0].job_id, reason=str(error))
        await self._note_checked(jobs)

    async def _note_checked(self, jobs: Sequence[JobRow]) -> None:
        checked = [JobChange(job.job_id, {"credits_checked_units": whole_units(job)}) for job in jobs]
        await self._jobmap.call(JobMap.apply, checked)

    def _item(self, job: JobRow) -> str:
        return ChargeItem(
            id=job.job_id,
            chargeId=f"{charge_prefix(self._provider_id, job)}-check-{whole_units(job)}",
            units=1,
            periods=job.replicas,
        ).model_dump_json()


def out_of_credits(job: JobRow) -> JobChange | None:
    """Return the wish to end a job whose owner cannot pay; None for one that ends already."""
    if job.wished_state is not None or job.state.is_final:
        return None
    return JobChange(job.job_id, {"wished_state": JobState.SUCCESS, "wished_message": OUT_OF_CREDITS})


def whole_units(job: JobRow) -> int:
    """Return the whole units that a job has used."""
    return units_used(job.elapsed_seconds, job.unit_seconds, ended=False)


def is_due(job: JobRow) -> bool:
    """Return whether nothing has asked yet if a running job's present unit can be paid."""
    if job.state is not JobState.RUNNING or job.wished_state is not None:
        return False
    asked = max(job.charged_units, -1 if job.credits_checked_units is None else job.credits_checked_units)
    return job.credits_checked_units is None or whole_units(job) > asked
