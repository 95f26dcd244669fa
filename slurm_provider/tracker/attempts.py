"""Attempts: a job's runs under one Slurm id, as accounting records them."""

from collections.abc import Iterable
from dataclasses import replace

from slurm_provider.jobmap import Attempt, Charge, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.tracker.charges import due


def attempt_of(record: AccountingRecord, job_id: str, restart: int) -> Attempt:
    """Return the attempt that a record is of."""
    return Attempt(
        job_id=job_id,
        slurm_id=record.slurm_id,
        submit_time=record.submit_time,
        state=record.state,
        start_time=record.start_time,
        end_time=record.end_time,
        elapsed_seconds=record.elapsed_seconds,
        exit_code=record.exit_code,
        exit_signal=record.exit_signal,
        node_list=record.node_list,
        restart=restart,
    )


def past_charges(provider_id: str, job: JobRow, attempts: Iterable[Attempt]) -> list[Charge]:
    """Return all that the starts before the job's last restart owe.

    For a job that was found in Slurm: what was charged before comes out the same, and Core ignores it.
    """
    past: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.restart < job.restart:
            past.setdefault(attempt.restart, []).append(attempt)
    charges = []
    for restart, own in sorted(past.items()):
        started_at = next((attempt.start_time for attempt in own if attempt.node_list), None)
        start = replace(job, restart=restart, charged_units=0, started_at=started_at)
        charges += due(provider_id, start, sum(attempt.elapsed_seconds for attempt in own), ended=True)
    return charges
