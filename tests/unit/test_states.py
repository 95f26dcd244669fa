"""Slurm's states become UCloud's: the table, what may follow what, and what a user reads."""

import re
from typing import Any

import pytest

from slurm_provider.config import Era
from slurm_provider.tracker.states import (
    STUCK_REASONS,
    UCLOUD_STATE,
    SlurmState,
    end_message,
    live_message,
    may_follow,
    ucloud_state,
)
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import record

FINAL = [JobState.SUCCESS, JobState.FAILURE, JobState.EXPIRED]
TABLE = {
    JobState.IN_QUEUE: "PENDING CONFIGURING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED SPECIAL_EXIT",
    JobState.RUNNING: "RUNNING COMPLETING SIGNALING STAGE_OUT RESIZING",
    JobState.SUSPENDED: "SUSPENDED STOPPED",
    JobState.SUCCESS: "COMPLETED CANCELLED",
    JobState.FAILURE: "BOOT_FAIL NODE_FAIL REVOKED PREEMPTED LAUNCH_FAILED RECONFIG_FAIL",
    JobState.EXPIRED: "TIMEOUT DEADLINE",
}
ROWS = [(word, state) for state, words in TABLE.items() for word in words.split()]
OF_THE_PROGRAM = {"FAILED", "OUT_OF_MEMORY"}


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize(("word", "state"), ROWS)
def test_slurms_state_means_ucloud_state(word: str, state: JobState, era: Era) -> None:
    assert ucloud_state(word, era) is state


@pytest.mark.parametrize("word", sorted(OF_THE_PROGRAM))
@pytest.mark.parametrize(("era", "state"), [(Era.SEEDS, JobState.SUCCESS), (Era.TODAY, JobState.FAILURE)])
def test_a_failed_program_is_a_failure_for_todays_core_only(word: str, era: Era, state: JobState) -> None:
    assert ucloud_state(word, era) is state


def test_the_table_has_every_state_of_slurm() -> None:
    assert set(UCLOUD_STATE) == set(SlurmState) == {word for word, _ in ROWS} | OF_THE_PROGRAM


@pytest.mark.parametrize(
    "word", ["", "running", "CANCELLED by 1000", "POWER_UP_NODE", "UPDATE_DB", "EXPEDITING"]
)
def test_a_word_that_is_no_state_means_nothing(word: str) -> None:
    assert ucloud_state(word, Era.SEEDS) is None


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("state", JobState)
def test_nothing_follows_a_final_state(final: JobState, state: JobState) -> None:
    assert not may_follow(final, state)


@pytest.mark.parametrize(
    ("current", "state"),
    [
        (JobState.IN_QUEUE, JobState.RUNNING),
        (JobState.RUNNING, JobState.SUSPENDED),
        (JobState.SUSPENDED, JobState.RUNNING),
        (JobState.RUNNING, JobState.IN_QUEUE),
        *((JobState.IN_QUEUE, final) for final in FINAL),
        *((JobState.RUNNING, final) for final in FINAL),
        *((JobState.CANCELING, final) for final in FINAL),
    ],
)
def test_a_living_job_may_move(current: JobState, state: JobState) -> None:
    assert may_follow(current, state)


@pytest.mark.parametrize("state", JobState)
def test_no_state_follows_itself(state: JobState) -> None:
    assert not may_follow(state, state)


@pytest.mark.parametrize(
    ("state", "details", "words"),
    [
        ("COMPLETED", {}, "finished"),
        ("FAILED", {"exit_code": 3}, "exit code 3"),
        ("FAILED", {"exit_signal": 9}, "signal 9"),
        ("OUT_OF_MEMORY", {"exit_signal": 125}, "memory"),
        ("CANCELLED", {"cancelled_by_uid": 0}, "cancelled by an administrator"),
        ("CANCELLED", {"cancelled_by_uid": 1001}, "cancelled by its owner"),
        ("TIMEOUT", {}, "time allocation"),
        ("DEADLINE", {}, "deadline"),
        ("NODE_FAIL", {"node_list": "n[2-3]"}, r"node failed: n\[2-3\]"),
        ("BOOT_FAIL", {"node_list": ""}, "node failed"),
        ("PREEMPTED", {}, "higher priority"),
        ("REVOKED", {}, "REVOKED"),
    ],
)
def test_the_end_of_a_job_is_told_in_words(state: str, details: dict[str, Any], words: str) -> None:
    message = end_message(record(state, **details))
    assert re.search(words, message)
    assert state == "COMPLETED" or "Slurm job 77" in message


def test_a_job_that_continues_is_not_told_to_start() -> None:
    assert live_message(JobState.SUSPENDED, JobState.RUNNING) != live_message(
        JobState.IN_QUEUE, JobState.RUNNING
    )
    assert "back into the queue" in live_message(JobState.RUNNING, JobState.IN_QUEUE)


@pytest.mark.parametrize(
    "reason", ["Resources", "Priority", "Dependency", "JobHeldUser", "BeginTime", "None"]
)
def test_a_reason_that_can_clear_is_not_stuck(reason: str) -> None:
    assert reason not in STUCK_REASONS


@pytest.mark.parametrize("reason", ["PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints"])
def test_a_reason_that_can_never_clear_is_stuck(reason: str) -> None:
    assert STUCK_REASONS[reason]
