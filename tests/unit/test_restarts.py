"""A job that is created anew after its end: when that is meant, and what it becomes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.jobmap import JobChange, JobMap, JobRow, OutboxKind, Submission
from slurm_provider.tracker.attempts import attempt_of, past_charges
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.lookup import choose_latest
from slurm_provider.tracker.restarts import ended_for_good, may_restart, never_again, repeated, restarted
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import SUBMITTED_AT, job, live, record

NOW = 1_800_000_000
TAGGER = Tagger("example", "secret")


def ended(**changes: Any) -> JobRow:
    """A job that has ended, and of which Core knows that it may be created anew."""
    facts: dict[str, Any] = {
        "state": JobState.SUCCESS,
        "message": "done",
        "started_at": 1,
        "ended_at": 2,
        "elapsed_seconds": 930,
        "charged_units": 16,
        "allow_restart": True,
        "restart_offered": True,
    }
    return job(**facts | changes)


def anew(restart: int = 1) -> JobRow:
    return job(
        submission=Submission.INTENT,
        slurm_id=None,
        submitted_at=None,
        created_at=NOW,
        unit_seconds=3600,
        grid_units=1,
        tag=TAGGER.tag("54112", restart),
        restart=restart,
        allow_restart=True,
    )


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        (ended(), True),
        (ended(state=JobState.FAILURE), True),
        (ended(allow_restart=None), False),
        (ended(allow_restart=False), False),
        (ended(restart_offered=False), False),
        (job(allow_restart=True, restart_offered=True), False),
        (job(allow_restart=True, restart_offered=True, state=JobState.RUNNING), False),
    ],
)
def test_a_create_means_a_restart_only_of_an_end_that_core_can_know(row: JobRow, meant: bool) -> None:
    assert may_restart(row) is meant
    begun = restarted(row, anew(), JobChange("54112"))
    assert bool(begun and begun.columns) is meant
    failed = ended_for_good(row, "why")
    assert bool(failed and failed.columns) is meant


def test_a_restart_is_a_new_intent_that_keeps_the_jobs_price_and_grid() -> None:
    change = restarted(ended(), anew(), JobChange("54112", updates=[JobUpdate(newTimeAllocation=60_000)]))
    assert change is not None
    columns: dict[str, Any] = dict(change.columns)
    row = replace(ended(), **columns)
    assert row == replace(anew(), created_at=900, unit_seconds=60, grid_units=15)
    assert [update.state for update in change.updates] == [JobState.IN_QUEUE, None]


@pytest.mark.parametrize("restart", [1, 3])
def test_a_restart_that_has_begun_is_not_begun_again(restart: int) -> None:
    assert restarted(ended(restart=1), anew(restart), JobChange("54112")) is None
    living = restarted(job(restart=1, allow_restart=True), anew(), JobChange("54112"))
    assert living is not None
    assert (living.columns, [update.state for update in living.updates]) == ({}, [JobState.IN_QUEUE])


def test_a_restart_during_which_the_user_ends_the_job_tells_the_end_once_more() -> None:
    for change in (
        restarted(ended(allow_restart=False), anew(), JobChange("54112")),
        ended_for_good(ended(allow_restart=False), "why"),
    ):
        assert change is not None
        assert change.columns == {}
        assert [(u.state, u.allowRestart) for u in change.updates] == [(JobState.SUCCESS, False)]


def test_a_create_that_starts_nothing_tells_core_how_the_job_is() -> None:
    for_good = repeated(ended(allow_restart=False))
    assert for_good is not None
    assert [(u.state, u.status, u.allowRestart) for u in for_good.updates] == [
        (JobState.SUCCESS, "done", False)
    ]
    living = repeated(job(restart=1, state=JobState.RUNNING, message="runs", allow_restart=True))
    assert living is not None
    assert [(u.state, u.status) for u in living.updates] == [(JobState.RUNNING, "runs")]


@pytest.mark.parametrize("row", [job(), job(state=JobState.RUNNING), ended(allow_restart=None), ended()])
def test_a_repeated_create_of_another_job_tells_nothing(row: JobRow) -> None:
    assert repeated(row) is None


def test_an_ended_job_that_is_terminated_is_not_started_again() -> None:
    change = never_again(ended())
    assert change is not None
    assert change.columns == {"allow_restart": False}
    assert [update.allowRestart for update in change.updates] == [False]
    assert never_again(ended(allow_restart=None)) is None
    assert never_again(job(allow_restart=True)) is None


@pytest.fixture
def jobmap(tmp_path: Path) -> Iterator[JobMap]:
    jobmap = JobMap(tmp_path / "jobs.db", lambda: NOW)
    yield jobmap
    jobmap.close()


def test_an_end_is_offered_when_core_is_about_to_be_told_of_it(jobmap: JobMap) -> None:
    jobmap.add_jobs([(ended(restart_offered=False), JobChange("54112"))])
    for allowed, offered in ((None, False), (False, False), (True, True)):
        jobmap.tell("54112", JobUpdate(state=JobState.SUCCESS, allowRestart=allowed))
        jobmap.offer_restarts(jobmap.outbox.deliverable(OutboxKind.UPDATE, 10))
        row = jobmap.job("54112")
        assert row is not None
        assert row.restart_offered is offered


def test_the_end_before_offers_nothing_while_the_next_start_lives(jobmap: JobMap) -> None:
    jobmap.add_jobs([(ended(), JobChange("54112"))])
    jobmap.tell("54112", JobUpdate(state=JobState.SUCCESS, allowRestart=True))
    jobmap.change_job("54112", partial(restarted, anew=anew(), change=JobChange("54112")))
    jobmap.offer_restarts(jobmap.outbox.deliverable(OutboxKind.UPDATE, 10))
    row = jobmap.job("54112")
    assert row is not None
    assert (row.restart, row.restart_offered, row.state) == (1, False, JobState.IN_QUEUE)


def test_a_restart_is_told_after_the_end_before_it_and_sees_only_its_own_attempts(jobmap: JobMap) -> None:
    first = attempt_of(record("COMPLETED", elapsed=930), "54112", 0)
    change = JobChange("54112", attempts=[first], updates=[JobUpdate(state=JobState.SUCCESS)])
    jobmap.add_jobs([(ended(), change)])
    jobmap.change_job("54112", partial(restarted, anew=anew(), change=JobChange("54112")))
    assert jobmap.attempts("hpc") == {}
    jobmap.apply([JobChange("54112", attempts=[replace(first, slurm_id=78, restart=1)])])
    assert [attempt.slurm_id for attempt in jobmap.attempts("hpc")["54112"]] == [78]
    told = [json.loads(item.body)["update"]["state"] for item in jobmap.outbox.undelivered(10)]
    assert told == ["SUCCESS", "IN_QUEUE"]
    assert len(jobmap.history("54112")["attempts"]) == 2


def latest(*rows: Any) -> Any:
    queue = [row for row in rows if isinstance(row, type(live("RUNNING")))]
    accounting = [row for row in rows if row not in queue]
    return choose_latest(queue, accounting, tagger=TAGGER, job_id="54112", user="alice", account="users")


def start(restart: int, elapsed: int = 60, state: str = "COMPLETED", **changes: Any) -> Any:
    """The record of an ended start of the job."""
    facts = {
        "name": TAGGER.tag("54112", restart),
        "slurm_id": 80 + restart,
        "submit_time": SUBMITTED_AT + 1000 * restart,
    }
    return record(state, elapsed=elapsed, **facts | changes)


def test_after_a_lost_job_map_the_latest_restart_is_found_with_all_attempts_before() -> None:
    tag = TAGGER.tag("54112", 2)
    running = live("RUNNING", slurm_id=82, name="renamed", comment=tag, submit_time=SUBMITTED_AT + 2000)
    found = latest(running, start(0), start(1), start(1, state="REQUEUED", submit_time=SUBMITTED_AT + 900))
    assert (found.slurm_id, found.restart) == (82, 2)
    attempts = sorted((attempt.restart, attempt.slurm_id) for attempt in found.attempts)
    assert attempts == [(0, 80), (1, 81), (1, 81)]


def test_an_ended_restart_is_found_where_no_later_one_is() -> None:
    found = latest(start(0), start(1))
    assert (found.slurm_id, found.restart) == (81, 1)


def test_a_restart_of_another_user_is_not_found() -> None:
    found = latest(start(0), start(1, user="bob"))
    assert (found.slurm_id, found.restart) == (80, 0)
    assert latest(start(1, user="bob")) is None
    assert latest() is None


def test_what_earlier_starts_owe_comes_out_the_same_after_a_lost_job_map() -> None:
    found = latest(start(0, elapsed=930), start(1, elapsed=59), start(2))
    row = job(restart=2, replicas=3)
    charges = past_charges("example", row, found.attempts)
    assert [(charge.charge_id, charge.units, charge.periods) for charge in charges] == [
        ("example-54112-0-15", 15, 3),
        ("example-54112-15-16", 1, 3),
        ("example-54112-r1-0-1", 1, 3),
    ]
