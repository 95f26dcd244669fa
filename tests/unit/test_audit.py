"""The audit of charges: it is silent about what is right, and says in words what is not."""

from dataclasses import asdict
from typing import Any

import pytest

from slurm_provider.jobmap import Attempt, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.tracker.attempts import attempt_of
from slurm_provider.tracker.audit import AuditLine, audit
from slurm_provider.tracker.charges import due
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import SLURM_ID, STARTED_AT, SUBMITTED_AT, TAG, job, record

ENDED = job(state=JobState.SUCCESS, started_at=STARTED_AT, ended_at=5_000, replicas=2)


def history(row: JobRow, records: list[AccountingRecord], *, delivered: bool = True) -> dict[str, Any]:
    """What the job map holds of a job whose records were all seen and charged."""
    attempts: list[Attempt] = [attempt_of(seen, row.job_id, 0) for seen in records]
    seconds = sum(attempt.elapsed_seconds for attempt in attempts)
    charges = due("example", row, seconds, ended=row.state.is_final)
    outbox = [
        {
            "kind": "charge",
            "body": {"chargeId": charge.charge_id, "units": charge.units},
            "delivered_at": 1 if delivered else None,
            "last_error": None if delivered else "503: later",
        }
        for charge in charges
    ]
    return {
        "attempts": [asdict(attempt) for attempt in attempts],
        "charges": [asdict(charge) for charge in charges],
        "outbox": outbox,
    }


def only(lines: list[AuditLine]) -> AuditLine:
    (line,) = lines
    return line


@pytest.mark.parametrize("row", [ENDED, job(state=JobState.RUNNING, started_at=STARTED_AT)], ids=str)
def test_what_was_charged_as_slurm_says_is_right(row: JobRow) -> None:
    records = [record("COMPLETED", elapsed=1_000)]
    line = only(audit("example", row, history(row, records), records))
    assert (line.used_seconds, line.findings) == (1_000, [])
    assert line.owed_units == (17 if row.state.is_final else 15)


def test_an_attempt_that_the_job_map_has_missed_is_found() -> None:
    records = [record("COMPLETED", elapsed=600)]
    missed = record("REQUEUED", elapsed=300, submit_time=SUBMITTED_AT - 100)
    line = only(audit("example", ENDED, history(ENDED, records), [missed, *records]))
    assert line.findings == ["accounting owes 15 units, the ledger charges 10"]


@pytest.mark.parametrize(
    "changes", [{"user": "bob"}, {"name": "another", "submit_time": SUBMITTED_AT + 999}], ids=str
)
def test_a_later_job_with_the_same_slurm_id_is_none_of_this_one(changes: dict[str, Any]) -> None:
    records = [record("COMPLETED", elapsed=600)]
    other = record("COMPLETED", elapsed=6_000, **changes)
    assert only(audit("example", ENDED, history(ENDED, records), [*records, other])).findings == []


def test_what_core_has_not_taken_is_told_with_its_last_answer() -> None:
    records = [record("COMPLETED", elapsed=600)]
    line = only(audit("example", ENDED, history(ENDED, records, delivered=False), records))
    assert line.findings == ["Core has taken 0 of 10 units: 503: later"]


def test_todays_totals_count_as_taken() -> None:
    records = [record("COMPLETED", elapsed=600)]
    kept = history(ENDED, records)
    total = {"usage": 10 * 2 * 1, "description": {"scope": "example-54112"}}
    kept["outbox"] = [{"kind": "usage", "body": total, "delivered_at": 1, "last_error": None}]
    assert only(audit("example", ENDED, kept, records)).findings == []


def test_each_restart_has_a_line_of_its_own() -> None:
    row = job(state=JobState.SUCCESS, started_at=STARTED_AT, restart=1, tag="uc-54112-1", slurm_id=78)
    first = record("FAILED", elapsed=100)
    second = record("COMPLETED", elapsed=200, slurm_id=78, name="uc-54112-1")
    kept = history(row, [])
    kept["attempts"] = [asdict(attempt_of(first, row.job_id, 0)), asdict(attempt_of(second, row.job_id, 1))]
    lines = audit("example", row, kept, [first, second])
    assert [(line.restart, line.owed_units, list(line.slurm_ids)) for line in lines] == [
        (0, 2, [SLURM_ID]),
        (1, 4, [78]),
    ]
    assert all("the ledger charges 0" in line.findings[0] for line in lines)


def test_jobs_that_cost_nothing_are_left_out() -> None:
    assert audit("example", job(unit_price=0, tag=TAG), history(ENDED, []), []) == []
