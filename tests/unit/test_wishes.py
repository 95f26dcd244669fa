"""Jobs that we end ourselves, and how their end is told."""

import pytest

from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import STARTED_AT, SUBMITTED_AT, cancelled_in_queue, live, record
from tests.unit.life import Life

R = JobState.RUNNING
SUCCESS, FAILURE, EXPIRED = JobState.SUCCESS, JobState.FAILURE, JobState.EXPIRED


def test_a_reason_that_never_clears_is_believed_at_its_second_look() -> None:
    life = Life()
    stuck = live("PENDING", reason="PartitionTimeLimit")
    life.look(stuck)
    assert life.job.wished_state is None
    life.look(stuck)
    assert life.job.wished_state is FAILURE
    assert life.told == []
    life.look(live("CANCELLED"), [cancelled_in_queue()])
    assert life.told == [FAILURE]
    assert "longer than the partition allows (PartitionTimeLimit, Slurm job 77)" in life.messages[-1]


@pytest.mark.parametrize("between", [live("PENDING", reason="Priority"), live("RUNNING")])
def test_a_reason_that_clears_in_between_is_counted_anew(between: LiveJob) -> None:
    life = Life()
    stuck = live("PENDING", reason="BadConstraints")
    life.look(stuck)
    life.look(between)
    life.look(stuck)
    assert life.job.wished_state is None


def test_a_cancelled_job_ends_in_the_words_of_the_wish() -> None:
    life = Life(state=R, started_at=STARTED_AT, wished_state=SUCCESS, wished_message="No credits")
    life.look(None, [record("CANCELLED", elapsed=5, cancelled_by_uid=1001)])
    assert (life.told, life.messages) == ([SUCCESS], ["No credits"])


@pytest.mark.parametrize(
    ("word", "state"), [("COMPLETED", SUCCESS), ("TIMEOUT", EXPIRED), ("NODE_FAIL", FAILURE)]
)
def test_a_job_that_ended_otherwise_is_told_as_it_was_whatever_the_wish(word: str, state: JobState) -> None:
    life = Life(state=R, started_at=STARTED_AT, wished_state=FAILURE, wished_message="stuck")
    life.look(None, [record(word, elapsed=5)])
    assert life.told == [state]
    assert "stuck" not in life.messages


def test_a_job_that_is_being_cancelled_stays_so_until_its_end() -> None:
    life = Life(state=JobState.CANCELING, wished_state=SUCCESS, wished_message="cancelled by user")
    life.look(live("PENDING"))
    life.look(live("RUNNING"))
    life.look(live("COMPLETING"))
    assert life.told == []
    life.look(None, [record("CANCELLED", elapsed=5)])
    assert life.told == [SUCCESS]


def test_a_job_that_was_submitted_without_ucloud_is_never_ended_because_it_can_never_start() -> None:
    life = Life(tag="outside hpc/77/1000")
    for _ in range(5):
        life.look(live("PENDING", reason="PartitionTimeLimit"), at=SUBMITTED_AT + 60)
    assert life.job.wished_state is None
    assert life.messages == [
        "Waiting: its time allocation is longer than the partition allows (PartitionTimeLimit)"
    ]


def test_a_job_that_is_cancelled_while_slurm_puts_it_back_into_the_queue_has_ended() -> None:
    life = Life(state=R, started_at=STARTED_AT, slurm_submit_time=SUBMITTED_AT, allow_restart=True)
    requeued = record("REQUEUED", elapsed=61)
    life.look(live("COMPLETING", restarts=1), [requeued])
    assert life.told == []
    life.look(live("CANCELLED", restarts=1), [requeued])
    assert (life.told, life.allowed) == ([SUCCESS], [False])
    assert life.messages[-1] == "The job was cancelled (Slurm job 77)"
    assert life.charged == ["example-54112-0-2"]


def test_a_job_that_is_requeued_has_not_ended_while_slurm_still_has_it() -> None:
    life = Life(state=R, started_at=STARTED_AT, slurm_submit_time=SUBMITTED_AT)
    for word in ("COMPLETING", "REQUEUED", "PENDING"):
        life.look(live(word, restarts=1), [record("REQUEUED", elapsed=61)])
    assert not life.job.state.is_final
    assert life.charged == []


def test_a_job_that_was_to_end_and_is_gone_has_ended_as_it_was_to() -> None:
    life = Life(state=R, started_at=STARTED_AT, wished_state=SUCCESS, wished_message="cancelled by user")
    life.look(None, [], at=1)
    life.look(None, [], at=1000)
    assert (life.told, life.messages) == ([SUCCESS], ["cancelled by user"])
