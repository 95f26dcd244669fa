"""Slurm's job states become UCloud's (squeue(1), JOB STATE CODES; UCloud's JobState)."""

from collections.abc import Mapping
from enum import StrEnum

from slurm_provider.config import Era
from slurm_provider.ucloud.jobs import JobState


class SlurmState(StrEnum):
    """Slurm's states and the flags that it shows in their place."""

    BOOT_FAIL = "BOOT_FAIL"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    COMPLETING = "COMPLETING"
    CONFIGURING = "CONFIGURING"
    DEADLINE = "DEADLINE"
    FAILED = "FAILED"
    LAUNCH_FAILED = "LAUNCH_FAILED"
    NODE_FAIL = "NODE_FAIL"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    PENDING = "PENDING"
    PREEMPTED = "PREEMPTED"
    RECONFIG_FAIL = "RECONFIG_FAIL"
    REQUEUED = "REQUEUED"
    REQUEUE_FED = "REQUEUE_FED"
    REQUEUE_HOLD = "REQUEUE_HOLD"
    RESIZING = "RESIZING"
    RESV_DEL_HOLD = "RESV_DEL_HOLD"
    REVOKED = "REVOKED"
    RUNNING = "RUNNING"
    SIGNALING = "SIGNALING"
    SPECIAL_EXIT = "SPECIAL_EXIT"
    STAGE_OUT = "STAGE_OUT"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    TIMEOUT = "TIMEOUT"


UCLOUD_STATE: Mapping[SlurmState, JobState] = {
    SlurmState.PENDING: JobState.IN_QUEUE,
    SlurmState.CONFIGURING: JobState.IN_QUEUE,
    SlurmState.REQUEUED: JobState.IN_QUEUE,
    SlurmState.REQUEUE_FED: JobState.IN_QUEUE,
    SlurmState.REQUEUE_HOLD: JobState.IN_QUEUE,
    SlurmState.RESV_DEL_HOLD: JobState.IN_QUEUE,
    SlurmState.SPECIAL_EXIT: JobState.IN_QUEUE,
    SlurmState.RUNNING: JobState.RUNNING,
    SlurmState.COMPLETING: JobState.RUNNING,
    SlurmState.RESIZING: JobState.RUNNING,
    SlurmState.SIGNALING: JobState.RUNNING,
    SlurmState.STAGE_OUT: JobState.RUNNING,
    SlurmState.SUSPENDED: JobState.SUSPENDED,
    SlurmState.STOPPED: JobState.SUSPENDED,
    # The seeds: a program's own failure is no failure of the provider (`in_era` changes it for today's Core).
    SlurmState.COMPLETED: JobState.SUCCESS,
    SlurmState.FAILED: JobState.SUCCESS,
    SlurmState.OUT_OF_MEMORY: JobState.SUCCESS,
    SlurmState.CANCELLED: JobState.SUCCESS,
    SlurmState.TIMEOUT: JobState.EXPIRED,
    SlurmState.DEADLINE: JobState.EXPIRED,
    SlurmState.BOOT_FAIL: JobState.FAILURE,
    SlurmState.LAUNCH_FAILED: JobState.FAILURE,
    SlurmState.NODE_FAIL: JobState.FAILURE,
    SlurmState.PREEMPTED: JobState.FAILURE,
    SlurmState.RECONFIG_FAIL: JobState.FAILURE,
    SlurmState.REVOKED: JobState.FAILURE,
}

_FAILURES_OF_THE_PROGRAM = (SlurmState.FAILED, SlurmState.OUT_OF_MEMORY)


def ucloud_state(word: str, era: Era) -> JobState | None:
    """Return UCloud's state for Slurm's word, or None for a word that no release here has used."""
    try:
        state = SlurmState(word)
    except ValueError:
        return None
    if era is Era.TODAY and state in _FAILURES_OF_THE_PROGRAM:
        return JobState.FAILURE
    return UCLOUD_STATE[state]


def may_follow(current: JobState, state: JobState) -> bool:
    """Return whether a job may move to `state`: a final state absorbs everything."""
    return not current.is_final and current != state


_FOR_GOOD = (SlurmState.CANCELLED, SlurmState.TIMEOUT, SlurmState.DEADLINE, SlurmState.REVOKED)


def ends_for_good(word: str) -> bool:
    """Return whether a job that ended so is not to be started again, even where its user wants restarts.

    Somebody has ended it, or its time is used up, which ends a job "regardless of result".
    """
    return word in _FOR_GOOD
