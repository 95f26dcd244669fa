"""Jobs that today's Core no longer has are ended, once it has said so often enough.

A Core that is down says nothing. One that has forgotten a job for a while (restored, or not yet
complete after its start) must refuse an update of the job and then deny its existence several times,
a pause apart; if it knows the job again in between, it is told what it refused. A job that was
submitted without UCloud needs no UCloud and goes on.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from slurm_provider.config import Orphans as OrphansSection
from slurm_provider.core import CoreRefused, CoreUnavailable, TodaysCore
from slurm_provider.core.today import MOST_EXISTENCE_CHECKS
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, OutboxItem, OutboxKind, Suspect
from slurm_provider.ucloud.jobs import JobState

log = structlog.get_logger()

ORPHANED = "UCloud no longer has the job"
NOT_THERE = (403, 404)
LONGEST_LOOK_SECONDS = 10.0


class Orphans:
    """Finds and ends the jobs that Core has lost. `cancel_soon` is called when there are such."""

    def __init__(
        self,
        section: OrphansSection,
        jobmap: Door,
        core: TodaysCore,
        cancel_soon: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._section = section
        self._jobmap = jobmap
        self._core = core
        self._cancel_soon = cancel_soon
        self._clock = clock

    async def refused(self, item: OutboxItem, error: CoreRefused) -> None:
        """Suspect the job of an update that Core has refused as if there were no such job."""
        if item.kind is OutboxKind.UPDATE and error.status in NOT_THERE:
            await self._jobmap.call(lambda jobmap: jobmap.suspects.update_refused(item.job_id))

    async def run(self) -> None:
        """Ask about suspects for ever."""
        while True:
            try:
                await self.ask()
            except (CoreUnavailable, CoreRefused) as error:
                log.warning("existence of jobs not checked", reason=str(error))
            except Exception:
                log.exception("existence of jobs not checked")
            await asyncio.sleep(min(self._section.pause_seconds, LONGEST_LOOK_SECONDS) / 2)

    async def ask(self) -> None:
        """Ask Core about the suspects whose time has come, and end those that it has denied often enough."""
        now = self._clock()
        before = now - self._section.pause_seconds
        suspects = await self._jobmap.call(lambda jobmap: jobmap.suspects.due(before, MOST_EXISTENCE_CHECKS))
        if not suspects:
            return
        there = await self._core.check_existence([suspect.job_id for suspect in suspects])
        found = [suspect.job_id for suspect, is_there in zip(suspects, there, strict=True) if is_there]
        missing = [suspect for suspect, is_there in zip(suspects, there, strict=True) if not is_there]
        await self._jobmap.call(lambda jobmap: jobmap.suspects.cleared(found))
        await self._jobmap.call(
            lambda jobmap: jobmap.suspects.confirmed([suspect.job_id for suspect in missing], now)
        )
        for suspect in missing:
            await self._judge(suspect, now)

    async def _judge(self, suspect: Suspect, now: float) -> None:
        confirmations = suspect.confirmations + 1
        log.warning("Core does not have the job", job_id=suspect.job_id, confirmations=confirmations)
        if confirmations < self._section.confirmations:
            return
        job = await self._jobmap.call(JobMap.job, suspect.job_id)
        if job is None or now - job.created_at < self._section.minimum_age_seconds:
            return
        await self._jobmap.call(JobMap.change_job, job.job_id, _give_up)
        await self._jobmap.call(lambda jobmap: jobmap.suspects.condemned(job.job_id))
        if not (job.state.is_final or job.is_outside):
            log.warning(
                "job cancelled: UCloud has denied that it exists",
                job_id=job.job_id,
                slurm_id=job.slurm_id,
                user=job.local_user,
                confirmations=confirmations,
            )
            self._cancel_soon()


def _give_up(job: JobRow) -> JobChange | None:
    if job.state.is_final or job.wished_state is not None or job.is_outside:
        return None
    return JobChange(job.job_id, {"wished_state": JobState.FAILURE, "wished_message": ORPHANED})
