"""One look at a cluster's queue and accounting, and what it means for all open jobs."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from slurm_provider.config import FacadeConfig
from slurm_provider.jobmap import Attempt, Door, JobChange, JobMap, JobRow, Submission
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.credits import CreditCheck
from slurm_provider.tracker.identity import same_job, submit_times
from slurm_provider.tracker.observation import Look, Rules, observe
from slurm_provider.tracker.registrar import Registrar
from slurm_provider.tracker.states import ucloud_state
from slurm_provider.tracker.submitter import Submitter
from slurm_provider.tracker.usage import UsageCheck

log = structlog.get_logger()

Row = TypeVar("Row", LiveJob, AccountingRecord)

ACCOUNTING_OVERLAP_SECONDS = 600
"""Accounting is read again from this long before the last time: slurmdbd hears of things late."""
IDS_IN_A_QUERY = 100
FRESH_SECONDS = 120
"""How long after a requeue every tick asks accounting how the attempt before has ended."""


class Tick:
    """Looks at one cluster. The cost in Slurm does not depend on how many jobs are ours."""

    def __init__(
        self,
        config: FacadeConfig,
        cluster: Cluster,
        jobmap: Door,
        submitter: Submitter,
        credit_check: CreditCheck | UsageCheck,
        clock: Callable[[], float] = time.time,
        registrar: Registrar | None = None,
    ) -> None:
        self._registrar = registrar
        self._config = config
        self._cluster = cluster
        self._jobmap = jobmap
        self._submitter = submitter
        self._credit_check = credit_check
        self._clock = clock
        self._accounting_read_at = 0.0
        self._cancelling: dict[str, asyncio.Task[None]] = {}
        self._rules = Rules(
            provider_id=config.provider.id,
            era=config.core.era,
            absence_grace_seconds=config.tracker.absence_grace_seconds,
            lost_after_seconds=config.tracker.lost_after_seconds,
        )

    async def run(self) -> None:
        """Submit what waits for submission, see what changed, cancel what is to be cancelled.

        Raises ClusterUnavailable when Slurm gave no complete answer: then nothing was concluded.
        """
        jobs = await self._jobmap.call(JobMap.open_jobs, self._cluster.name)
        for job in jobs:
            if job.submission is Submission.INTENT:
                self._submitter.start(job.job_id)
        live = await self._cluster.live_jobs()
        if self._registrar is not None:
            self._registrar.start(live)
        live_rows = _by_id(live)
        if tracked := [job for job in jobs if job.in_slurm]:
            await self._observe(tracked, live_rows)
            await self._cancel_wished()
            await self._credit_check.run(self._cluster.name)

    async def _observe(self, tracked: Sequence[JobRow], live_rows: Mapping[int, list[LiveJob]]) -> None:
        attempts = await self._jobmap.call(JobMap.attempts, self._cluster.name)
        looks = {job.job_id: self._look(job, live_rows, attempts.get(job.job_id, [])) for job in tracked}
        now = int(self._clock())
        ended = [
            _as_last_seen(job, looks[job.job_id].live)
            for job in tracked
            if self._has_ended(looks[job.job_id].live)
        ]
        requeued = [job for job in tracked if _lacks_attempts(looks[job.job_id])]
        urgent = ended + [job for job in requeued if _is_fresh(looks[job.job_id].live, now)]
        records = await self._records(ended, requeued) if urgent or self._accounting_is_due() else None
        hidden = await self._hidden(tracked, looks, records) if records is not None else set()

        def decide(job: JobRow) -> JobChange | None:
            look = looks.get(job.job_id)
            if look is None or job.job_id in hidden:
                return None
            if records is not None:
                look = _with_records(job, look, records)
            return observe(job, look, self._rules, now)

        await self._jobmap.call(JobMap.change_open_jobs, self._cluster.name, decide)

    async def _hidden(
        self,
        tracked: Sequence[JobRow],
        looks: Mapping[str, Look],
        records: Mapping[int, list[AccountingRecord]],
    ) -> set[str]:
        """Return the jobs that Slurm has not shown, where it may have hidden them from us."""
        absent = {
            job.job_id
            for job in tracked
            if (look := looks[job.job_id]).live is None and not _with_records(job, look, records).records
        }
        if absent:
            try:
                await self._cluster.check_sight()
            except ClusterUnavailable as error:
                log.warning("absence not believed", cluster=self._cluster.name, reason=str(error))
                return absent
        return set()

    def _look(self, job: JobRow, live_rows: Mapping[int, list[LiveJob]], attempts: list[Attempt]) -> Look:
        rows = _matching(job, live_rows, submit_times(job, attempts))
        return Look(live=rows[0] if rows else None, records=None, attempts=attempts)

    def _has_ended(self, live: LiveJob | None) -> bool:
        state = ucloud_state(live.state, self._config.core.era) if live else None
        return live is None or (state is not None and state.is_final)

    def _accounting_is_due(self) -> bool:
        return self._clock() - self._accounting_read_at >= self._config.tracker.accounting_interval_seconds

    async def _records(
        self, ended: Sequence[JobRow], requeued: Sequence[JobRow]
    ) -> Mapping[int, list[AccountingRecord]] | None:
        """Return accounting by Slurm id; None when there was no complete answer."""
        try:
            rows = await self._read_window()
            # An attempt that never became eligible, or was recorded long ago, is asked for by its id.
            seen = {(row.slurm_id, row.submit_time) for row in rows}
            silent = [*requeued, *(job for job in ended if (job.slurm_id, job.slurm_submit_time) not in seen)]
            for start in range(0, len(silent), IDS_IN_A_QUERY):
                rows += await self._read_by_id(silent[start : start + IDS_IN_A_QUERY])
        except ClusterUnavailable as error:
            log.warning("accounting not read", cluster=self._cluster.name, reason=str(error))
            return None
        return _by_id(rows)

    async def _read_window(self) -> list[AccountingRecord]:
        started = self._clock()
        row = await self._jobmap.call(JobMap.cluster, self._cluster.name)
        watermark = row.accounting_watermark or started
        rows = await self._cluster.accounting(int(watermark) - ACCOUNTING_OVERLAP_SECONDS)
        await self._jobmap.call(JobMap.set_accounting_watermark, self._cluster.name, int(started))
        self._accounting_read_at = started
        return rows

    async def _read_by_id(self, jobs: Sequence[JobRow]) -> list[AccountingRecord]:
        since = min(job.submitted_at or job.created_at for job in jobs) - ACCOUNTING_OVERLAP_SECONDS
        ids = [job.slurm_id for job in jobs if job.slurm_id is not None]
        return await self._cluster.accounting(since, slurm_ids=ids)

    async def _cancel_wished(self) -> None:
        """Start to cancel what is to be cancelled: one user's agent that hangs holds up nobody else."""
        for job in await self._jobmap.call(JobMap.open_jobs, self._cluster.name):
            if job.in_slurm and job.wished_state is not None and job.job_id not in self._cancelling:
                task = self._cancelling[job.job_id] = asyncio.create_task(self._cancel(job))
                task.add_done_callback(partial(self._forget, job.job_id))

    async def _cancel(self, job: JobRow) -> None:
        try:
            await self._cluster.cancel(job.local_user, job.slurm_id or 0)
        except ClusterUnavailable as error:
            log.warning("job not cancelled", job_id=job.job_id, slurm_id=job.slurm_id, reason=str(error))

    def _forget(self, job_id: str, _task: asyncio.Task[None]) -> None:
        del self._cancelling[job_id]

    async def close(self) -> None:
        """Stop what goes on beside the ticks."""
        if self._registrar is not None:
            await self._registrar.close()
        tasks = list(self._cancelling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_id(rows: Iterable[Row]) -> dict[int, list[Row]]:
    index: dict[int, list[Row]] = {}
    for row in rows:
        index.setdefault(row.slurm_id, []).append(row)
    return index


def _with_records(job: JobRow, look: Look, records: Mapping[int, list[AccountingRecord]]) -> Look:
    known = submit_times(job, look.attempts, look.live)
    return replace(look, records=_matching(job, records, known))


def _as_last_seen(job: JobRow, live: LiveJob | None) -> JobRow:
    return replace(job, slurm_submit_time=live.submit_time) if live else job


def _lacks_attempts(look: Look) -> bool:
    """Return whether Slurm has requeued the job more often than we know attempts that have ended."""
    if look.live is None:
        return False
    ended = [a for a in look.attempts if a.end_time and a.submit_time < look.live.submit_time]
    return len(ended) < look.live.restarts


def _is_fresh(live: LiveJob | None, now: int) -> bool:
    return live is not None and now - live.submit_time < FRESH_SECONDS


def _matching(job: JobRow, rows: Mapping[int, list[Row]], known: set[int]) -> list[Row]:
    return [row for row in rows.get(job.slurm_id or 0, ()) if same_job(row, job, known)]
