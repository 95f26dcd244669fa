"""Asking Core whether running jobs can still be paid, between the charges."""

import structlog

from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.tracker.charges import units_used
from slurm_provider.ucloud.control import ChargeItem
from slurm_provider.ucloud.jobs import JobState

log = structlog.get_logger()

OUT_OF_CREDITS = "The job was terminated (No credits)"
ITEMS_IN_A_CALL = 100


class CreditCheck:
    """`checkCredits` for each running job: at its start, and once a unit that no charge has asked about."""

    def __init__(self, provider_id: str, jobmap: Door, core: CoreClient) -> None:
        self._provider_id = provider_id
        self._jobmap = jobmap
        self._core = core

    async def run(self, cluster: str) -> None:
        """Check the jobs of a cluster that are due; a Core that does not answer is asked at the next tick."""
        jobs = [job for job in await self._jobmap.call(JobMap.open_jobs, cluster) if _due(job)]
        for start in range(0, len(jobs), ITEMS_IN_A_CALL):
            try:
                await self._check(jobs[start : start + ITEMS_IN_A_CALL])
            except (CoreUnavailable, CoreRefused) as error:
                log.warning("credits not checked", reason=str(error))
                return

    async def _check(self, jobs: list[JobRow]) -> None:
        items = [
            ChargeItem(
                id=job.job_id,
                chargeId=f"{self._provider_id}-{job.job_id}-check-{_units(job)}",
                units=1,
                periods=job.replicas,
            )
            for job in jobs
        ]
        answer = await self._core.check_credits([item.model_dump_json() for item in items])
        checked = [JobChange(job.job_id, {"credits_checked_units": _units(job)}) for job in jobs]
        await self._jobmap.call(JobMap.apply, checked)
        for job_id in answer.without_funds:
            log.warning("out of credits", job_id=job_id)
            await self._jobmap.call(JobMap.change_job, job_id, out_of_credits)


def out_of_credits(job: JobRow) -> JobChange | None:
    """Return the wish to end a job whose owner cannot pay; None for one that ends already."""
    if job.wished_state is not None or job.state.is_final:
        return None
    return JobChange(job.job_id, {"wished_state": JobState.SUCCESS, "wished_message": OUT_OF_CREDITS})


def _units(job: JobRow) -> int:
    return units_used(job.elapsed_seconds, job.unit_seconds, ended=False)


def _due(job: JobRow) -> bool:
    if job.state is not JobState.RUNNING or job.wished_state is not None:
        return False
    asked = max(job.charged_units, -1 if job.credits_checked_units is None else job.credits_checked_units)
    return job.credits_checked_units is None or _units(job) > asked
