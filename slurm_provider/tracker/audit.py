"""The ledger held against Slurm's accounting and what Core has taken, start by start."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slurm_provider.jobmap import JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.tracker.charges import charge_prefix, due

History = Mapping[str, Sequence[Mapping[str, Any]]]
"""A job's rows in the tables attempts, charges and outbox (JobMap.history)."""


@dataclass(frozen=True)
class AuditLine:
    """One start of a job; units are those of one replica."""

    job_id: str
    restart: int
    slurm_ids: Collection[int]
    used_seconds: int
    """By accounting, over all attempts."""
    owed_units: int
    """What follows from that: whole cells of the grid while the job lives."""
    charged_units: int
    """By the ledger."""
    taken_units: int
    """By Core."""
    last_error: str | None
    """What Core said last of what it has not taken."""

    @property
    def findings(self) -> list[str]:
        """What is not as it should be, in words."""
        found = []
        if self.charged_units != self.owed_units:
            found.append(f"accounting owes {self.owed_units} units, the ledger charges {self.charged_units}")
        if self.taken_units != self.charged_units:
            why = f": {self.last_error}" if self.last_error else ""
            found.append(f"Core has taken {self.taken_units} of {self.charged_units} units{why}")
        return found


def slurm_ids(job: JobRow, history: History) -> set[int]:
    """Return the ids of a job's attempts in Slurm."""
    return {row["slurm_id"] for row in history["attempts"]} | ({job.slurm_id} if job.slurm_id else set())


def audit(
    provider_id: str, job: JobRow, history: History, records: Iterable[AccountingRecord]
) -> list[AuditLine]:
    """Return a line for each start of a job that is paid for, the oldest first."""
    if job.unit_price == 0:
        return []
    own = [record for record in records if record.user == job.local_user]
    return [_line(provider_id, job, restart, history, own) for restart in range(job.restart + 1)]


def _line(
    provider_id: str, job: JobRow, restart: int, history: History, records: Sequence[AccountingRecord]
) -> AuditLine:
    attempts = [row for row in history["attempts"] if row["restart"] == restart]
    known = {(row["slurm_id"], row["submit_time"]) for row in attempts}
    is_last = restart == job.restart
    # An attempt that the job map has missed shows by its name; any other job may have got an old id.
    ours = [
        record
        for record in records
        if (record.slurm_id, record.submit_time) in known or (is_last and record.name == job.tag)
    ]
    used = sum(record.elapsed_seconds for record in ours)
    started_at = next((record.start_time for record in ours if record.node_list), None)
    start = replace(job, restart=restart, charged_units=0, started_at=started_at)
    ended = job.state.is_final or not is_last
    cells = due(provider_id, start, used, ended=ended)
    charges = [row for row in history["charges"] if row["restart"] == restart]
    taken, last_error = _taken(start, provider_id, charges, history["outbox"])
    return AuditLine(
        job.job_id,
        restart,
        sorted({record.slurm_id for record in ours}),
        used_seconds=used,
        owed_units=cells[-1].to_unit if cells else 0,
        charged_units=sum(row["to_unit"] - row["from_unit"] for row in charges),
        taken_units=taken,
        last_error=last_error,
    )


def _taken(
    start: JobRow, provider_id: str, charges: Iterable[Mapping[str, Any]], outbox: Iterable[Mapping[str, Any]]
) -> tuple[int, str | None]:
    """Return the units that Core has taken, as charges or within a total, and its last refusal."""
    ids = {row["charge_id"] for row in charges}
    scope = charge_prefix(provider_id, start)
    units, last_error = 0, None
    total = 0
    for item in outbox:
        body = item["body"]
        is_charge = item["kind"] == "charge" and body["chargeId"] in ids
        is_total = item["kind"] == "usage" and body["description"]["scope"] == scope
        if item["delivered_at"] is None and (is_charge or is_total):
            last_error = item["last_error"]
        elif is_charge:
            units += body["units"]
        elif is_total:
            total = body["usage"] // (start.replicas * start.unit_price)
    return units + total, last_error
