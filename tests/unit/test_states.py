"""Slurm's states become UCloud's: the table, and what may follow what."""

import pytest

from slurm_provider.config import Era
from slurm_provider.tracker.states import UCLOUD_STATE, SlurmState, ends_for_good, may_follow, ucloud_state
from slurm_provider.ucloud.jobs import JobState

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


def test_what_somebody_ended_or_used_up_its_time_has_ended_for_good() -> None:
    final = {word for word in SlurmState if UCLOUD_STATE[word].is_final}
    for_good = {"CANCELLED", "TIMEOUT", "DEADLINE", "REVOKED"}
    assert {word for word in final if ends_for_good(word)} == for_good
