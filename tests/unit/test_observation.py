"""What looks at Slurm mean for a job, from its submission to its end."""

from collections.abc import Sequence

import pytest

from slurm_provider.config import Era
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.observation import Rules
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import STARTED_AT, SUBMITTED_AT, cancelled_in_queue, live, record
from tests.unit.life import Life

REQUEUED_AT = SUBMITTED_AT + 700
Q, R, S = JobState.IN_QUEUE, JobState.RUNNING, JobState.SUSPENDED
SUCCESS, FAILURE, EXPIRED = JobState.SUCCESS, JobState.FAILURE, JobState.EXPIRED


def test_a_job_seen_running_and_ended_tells_each_once() -> None:
    life = Life()
    for _ in range(2):
        life.look(live("PENDING", reason="Priority"))
        life.look(live("CONFIGURING"))
    for elapsed in (60, 900):
        life.look(live("RUNNING"), [record("RUNNING", elapsed=elapsed)])
    life.look(live("COMPLETING"))
    life.look(live("COMPLETED"), [record("COMPLETED", elapsed=930)])
    assert life.told == [R, SUCCESS]
    assert life.charged == ["example-54112-0-15", "example-54112-15-16"]
    assert (life.job.started_at, life.job.ended_at) == (STARTED_AT, STARTED_AT + 930)
    assert (life.job.node_list, life.job.elapsed_seconds) == ("n1", 930)


def test_a_look_that_shows_nothing_new_changes_nothing() -> None:
    life = Life()
    look = live("RUNNING"), [record("RUNNING", elapsed=60)]
    life.look(*look)
    assert not life.look(*look)


@pytest.mark.parametrize(
    ("word", "state"), [("COMPLETED", SUCCESS), ("TIMEOUT", EXPIRED), ("NODE_FAIL", FAILURE)]
)
def test_a_job_that_ran_between_two_looks_is_said_to_have_run(word: str, state: JobState) -> None:
    life = Life()
    life.look(None, [record(word, elapsed=1)])
    assert life.told == [R, state]
    assert life.charged == ["example-54112-0-1"]
    assert life.job.started_at == STARTED_AT


def test_a_job_cancelled_while_it_waited_never_ran() -> None:
    life = Life()
    life.look(live("PENDING"))
    life.look(live("CANCELLED"), [cancelled_in_queue()])
    assert (life.told, life.charged, life.job.started_at) == ([SUCCESS], [], None)


def test_each_attempt_of_a_requeued_job_is_charged_once() -> None:
    first = record("REQUEUED", elapsed=600)
    life = Life()
    life.look(live("RUNNING"), [record("RUNNING", elapsed=580)])
    for _ in range(2):
        life.look(live("PENDING", submit_time=REQUEUED_AT), [first])
    life.look(live("RUNNING", submit_time=REQUEUED_AT, start_time=REQUEUED_AT + 5))
    life.look(None, [first, record("COMPLETED", elapsed=310, submit_time=REQUEUED_AT)])
    assert life.told == [R, Q, R, SUCCESS]
    assert life.charged == ["example-54112-0-15", "example-54112-15-16"]
    assert life.job.elapsed_seconds == 910
    assert life.job.started_at == STARTED_AT


@pytest.mark.parametrize("word", ["NODE_FAIL", "PREEMPTED", "REQUEUED", "CANCELLED"])
def test_the_end_of_an_attempt_is_no_end_while_slurm_has_a_newer_one(word: str) -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(live("PENDING", submit_time=REQUEUED_AT), [record(word, elapsed=30)])
    assert life.told == [Q]


def test_a_requeued_job_cancelled_while_it_waits_is_not_said_to_run_again() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    first = record("REQUEUED", elapsed=30)
    life.look(live("PENDING", submit_time=REQUEUED_AT), [first])
    life.look(None, [first, cancelled_in_queue(submit_time=REQUEUED_AT)])
    assert life.told == [Q, SUCCESS]
    assert life.charged == ["example-54112-0-1"]


@pytest.mark.parametrize("state", [Q, R, S])
def test_nothing_is_concluded_where_squeue_lacks_a_job_and_accounting_gave_no_answer(state: JobState) -> None:
    life = Life(state=state)
    life.look(None, None, at=1)
    life.look(None, None, at=10**6)
    assert life.told == []
    assert life.job.missing_since is None


@pytest.mark.parametrize("word", ["COMPLETED", "CANCELLED", "FAILED"])
@pytest.mark.parametrize("records", [None, [], [record("RUNNING", elapsed=5)]])
def test_an_end_is_told_only_with_its_record(word: str, records: list[AccountingRecord] | None) -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(live(word), records)
    assert life.told == []


def test_a_job_that_both_lack_for_the_grace_is_a_failure_in_words() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(None, [], at=100)
    life.look(None, None, at=125)
    life.look(None, [], at=129)
    assert life.told == []
    life.look(None, [], at=130)
    assert life.told == [FAILURE]
    assert "Slurm no longer has the job (Slurm job 77)" in life.messages[-1]


def test_a_job_that_comes_back_within_the_grace_was_never_gone() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(None, [], at=100)
    life.look(live("RUNNING"), at=120)
    life.look(None, [], at=140)
    life.look(None, [], at=169)
    assert life.told == []


def test_a_job_that_accounting_still_shows_is_given_up_much_later() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    running = [record("RUNNING", elapsed=60)]
    life.look(None, running, at=100)
    life.look(None, running, at=100 + 3599)
    assert life.told == []
    life.look(None, running, at=100 + 3600)
    assert life.told == [FAILURE]


def test_the_growing_time_of_a_job_that_squeue_lacks_is_not_charged() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(live("RUNNING"), [record("RUNNING", elapsed=60)])
    for elapsed in (900, 1800, 3000):
        life.look(None, [record("RUNNING", elapsed=elapsed)], at=elapsed)
    assert life.charged == []
    life.look(None, [record("COMPLETED", elapsed=61)], at=3100)
    assert life.charged == ["example-54112-0-2"]


@pytest.mark.parametrize("records", [None, [], [record("EXPEDITING", elapsed=5)]])
def test_an_unknown_word_of_slurm_means_nothing(records: list[AccountingRecord] | None) -> None:
    life = Life(state=R, started_at=STARTED_AT)
    for at in (1, 10**6):
        life.look(live("EXPEDITING"), records, at=at)
    assert (life.told, life.charged) == ([], [])


@pytest.mark.parametrize("final", [SUCCESS, FAILURE, EXPIRED])
@pytest.mark.parametrize(
    ("shown", "records"),
    [
        (live("PENDING"), None),
        (live("RUNNING"), [record("RUNNING", elapsed=9000)]),
        (None, [record("COMPLETED", elapsed=9000)]),
        (None, [record("NODE_FAIL", elapsed=1)]),
        (None, []),
    ],
)
def test_a_final_state_absorbs_whatever_slurm_says_later(
    final: JobState, shown: LiveJob | None, records: Sequence[AccountingRecord] | None
) -> None:
    life = Life(state=final, started_at=STARTED_AT, ended_at=2000)
    for at in (1, 10**6):
        life.look(shown, records, at=at)
    assert (life.told, life.charged, life.job.state) == ([], [], final)


def test_a_suspended_job_continues() -> None:
    life = Life()
    for word in ("RUNNING", "SUSPENDED", "SUSPENDED", "RUNNING", "STOPPED", "RUNNING"):
        life.look(live(word))
    assert life.told == [R, S, R, S, R]
    assert life.messages[2] == "The job continues"
    assert life.job.started_at == STARTED_AT


def test_todays_core_is_told_a_failed_program_as_a_failure() -> None:
    rules = Rules("example", Era.TODAY, absence_grace_seconds=30, lost_after_seconds=3600)
    life = Life(rules, state=R, started_at=STARTED_AT)
    life.look(None, [record("FAILED", elapsed=5, exit_code=3)])
    assert life.told == [FAILURE]
    assert "exit code 3" in life.messages[-1]


def test_a_product_paid_once_is_charged_when_the_job_starts() -> None:
    life = Life(unit_seconds=0, grid_units=1)
    life.look(live("PENDING"))
    assert life.charged == []
    life.look(live("RUNNING"))
    life.look(None, [record("COMPLETED", elapsed=5)])
    assert life.charged == ["example-54112-0-1"]


def test_a_product_paid_once_is_charged_however_short_the_job_was() -> None:
    life = Life(unit_seconds=0, grid_units=1)
    life.look(None, [record("COMPLETED", elapsed=0)])
    assert life.told == [R, SUCCESS]
    assert life.charged == ["example-54112-0-1"]


def test_a_product_paid_once_is_not_charged_for_a_job_cancelled_while_it_waited() -> None:
    life = Life(unit_seconds=0, grid_units=1)
    life.look(None, [cancelled_in_queue()])
    assert (life.told, life.charged) == ([SUCCESS], [])


def test_a_user_reads_which_node_failed_when_slurm_starts_the_job_again() -> None:
    life = Life(state=R, started_at=STARTED_AT, slurm_submit_time=SUBMITTED_AT)
    life.look(live("PENDING", submit_time=REQUEUED_AT), [record("NODE_FAIL", elapsed=30, node_list="n2")])
    assert life.told == [Q]
    assert life.messages == [
        "The node n2 failed; Slurm starts the job again from the beginning (Slurm job 77)"
    ]


def test_why_slurm_starts_a_job_again_is_told_once_accounting_knows_it() -> None:
    life = Life(state=R, started_at=STARTED_AT, slurm_submit_time=SUBMITTED_AT)
    again = live("PENDING", submit_time=REQUEUED_AT, restarts=1)
    life.look(again, None)
    assert life.told == [Q]
    assert life.messages == [
        "Slurm has put the job back into the queue and starts it again from the beginning (Slurm job 77)"
    ]
    for _ in range(3):
        life.look(again, [record("PREEMPTED", elapsed=30)])
    assert life.told == [Q]
    assert [message.partition(";")[0] for message in life.messages[1:]] == [
        "The job was preempted, to make room for one of higher priority"
    ]


def test_the_record_of_an_end_that_came_before_the_requeue_was_seen_says_why() -> None:
    life = Life()
    failed = record("NODE_FAIL", elapsed=30, node_list="n2")
    life.look(live("RUNNING"), [record("RUNNING", elapsed=20, node_list="n2")])
    life.look(live("COMPLETING"), [failed])
    life.look(live("PENDING", submit_time=REQUEUED_AT), None)
    assert life.messages[-1].startswith("The node n2 failed")


def test_a_job_that_runs_again_before_the_next_look_is_told_to_have_been_requeued() -> None:
    life = Life()
    life.look(live("RUNNING"))
    life.look(live("RUNNING", submit_time=REQUEUED_AT, start_time=REQUEUED_AT + 1))
    assert life.told == [R, Q, R]


def test_a_job_that_ran_and_was_requeued_between_two_looks_is_told_why_it_waits_again() -> None:
    life = Life()
    life.look(live("PENDING"))
    life.look(live("PENDING", submit_time=REQUEUED_AT), [record("NODE_FAIL", elapsed=5, node_list="n2")])
    assert life.told == []
    assert life.messages[0].startswith("The node n2 failed")


def test_a_job_that_was_requeued_before_the_first_look_is_told_so() -> None:
    life = Life()
    life.look(live("PENDING", submit_time=REQUEUED_AT, restarts=1))
    assert [message.partition(" and ")[0] for message in life.messages] == [
        "Slurm has put the job back into the queue"
    ]


def test_a_job_that_is_requeued_and_held_is_suspended() -> None:
    life = Life(state=R, started_at=STARTED_AT, slurm_submit_time=SUBMITTED_AT)
    for word in ("COMPLETING", "PENDING", "SPECIAL_EXIT"):
        life.look(live(word, submit_time=REQUEUED_AT, reason="job requeued in held state"))
    assert (life.told, life.messages) == ([S], ["The job is suspended"])
    life.look(live("PENDING", submit_time=REQUEUED_AT))
    life.look(live("RUNNING", submit_time=REQUEUED_AT, start_time=REQUEUED_AT + 9))
    assert life.told == [S, Q, R]


def test_a_job_that_is_being_cancelled_stays_so_when_slurm_requeues_it() -> None:
    life = Life(state=JobState.CANCELING, slurm_submit_time=SUBMITTED_AT, wished_state=SUCCESS)
    life.look(live("PENDING", submit_time=REQUEUED_AT), [record("NODE_FAIL", elapsed=5)])
    assert (life.told, life.messages) == ([], [])


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("COMPLETED", True),
        ("FAILED", True),
        ("OUT_OF_MEMORY", True),
        ("NODE_FAIL", True),
        ("PREEMPTED", True),
        ("CANCELLED", False),
        ("TIMEOUT", False),
        ("DEADLINE", False),
    ],
)
def test_an_end_says_whether_the_job_may_be_started_again(word: str, allowed: bool) -> None:
    life = Life(state=R, started_at=STARTED_AT, allow_restart=True)
    life.look(None, [record(word, elapsed=5)])
    assert (life.job.allow_restart, life.allowed) == (allowed, [allowed])


def test_the_end_of_a_job_without_restarts_says_nothing_of_them() -> None:
    life = Life(state=R, started_at=STARTED_AT)
    life.look(None, [record("COMPLETED", elapsed=5)])
    assert (life.job.allow_restart, life.allowed) == (None, [None])


def test_a_job_that_we_ended_is_not_to_be_started_again() -> None:
    life = Life(state=R, started_at=STARTED_AT, allow_restart=True, wished_state=SUCCESS)
    life.look(None, [record("COMPLETED", elapsed=5)])
    assert life.allowed == [False]


def test_a_job_that_was_lost_may_be_started_again() -> None:
    life = Life(state=R, started_at=STARTED_AT, allow_restart=True)
    life.look(None, [], at=100)
    life.look(None, [], at=200)
    assert (life.told, life.allowed) == ([FAILURE], [True])


def test_each_restart_is_charged_from_its_own_beginning() -> None:
    life = Life(restart=2, state=R, started_at=STARTED_AT)
    life.look(None, [record("COMPLETED", elapsed=930)])
    assert life.charged == ["example-54112-r2-0-15", "example-54112-r2-15-16"]
