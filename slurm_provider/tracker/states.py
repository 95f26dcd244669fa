"""Slurm's job states become UCloud's (squeue(1), JOB STATE CODES; UCloud's JobState)."""

from collections.abc import Mapping
from enum import StrEnum

from slurm_provider.config import Era
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
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


def live_message(current: JobState, state: JobState) -> str:
    """Return what a user reads when a job that has not ended changes its state."""
    match state:
        case JobState.RUNNING if current is JobState.SUSPENDED:
            return "The job continues"
        case JobState.RUNNING:
            return "The job is now running!"
        case JobState.SUSPENDED:
            return "The job is suspended"
        case JobState.IN_QUEUE if current is JobState.RUNNING:
            return "Slurm has put the job back into the queue; it starts again from the beginning"
        case _:
            return "The job is waiting in the queue"


def end_message(record: AccountingRecord) -> str:
    """Return what a user reads when a job has ended: what happened, why, and Slurm's id to ask about."""
    job = f"Slurm job {record.slurm_id}"
    match record.state:
        case SlurmState.COMPLETED:
            return "The job has finished processing!"
        case SlurmState.FAILED if record.exit_signal:
            return f"The job has finished: it was ended by signal {record.exit_signal} ({job})"
        case SlurmState.FAILED:
            return f"The job has finished with exit code {record.exit_code} ({job})"
        case SlurmState.OUT_OF_MEMORY:
            return f"The job was ended because it used more memory than its machine type has ({job})"
        case SlurmState.CANCELLED:
            by = "an administrator" if record.cancelled_by_uid == 0 else "its owner"
            return f"The job was cancelled by {by} ({job})"
        case SlurmState.TIMEOUT:
            return f"The job has used up its time allocation ({job})"
        case SlurmState.DEADLINE:
            return f"The job could not finish before its deadline ({job})"
        case SlurmState.NODE_FAIL | SlurmState.BOOT_FAIL:
            nodes = f" {record.node_list}" if record.node_list else ""
            return f"The job was ended because a node failed:{nodes} ({job})"
        case SlurmState.PREEMPTED:
            return f"The job was ended to make room for one of higher priority ({job})"
        case _:
            return f"The job was ended by Slurm: {record.state} ({job})"


HELD_REASONS = ("JobHeld", "job requeued in held state")
"""How the reasons of a job begin that somebody keeps from starting."""

STUCK_REASONS: Mapping[str, str] = {
    "AssocMaxWallDurationPerJobLimit": "its time allocation is longer than the account may use",
    "AssocMaxNodePerJobLimit": "it asks for more nodes than the account may use",
    "AssocMaxCpuPerJobLimit": "it asks for more cores than the account may use",
    "AssocMaxMemPerJob": "it asks for more memory than the account may use",
    "BadConstraints": "no node has what it asks for",
    "DependencyNeverSatisfied": "a job that it depends on has failed",
    "InvalidAccount": "its Slurm account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "PartitionConfig": "the partition can never give it what it asks for",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows",
    "PartitionTimeLimit": "its time allocation is longer than the partition allows",
    "QOSMaxWallDurationPerJobLimit": "its time allocation is longer than the QOS allows",
    "QOSMaxNodePerJobLimit": "it asks for more nodes than the QOS allows",
    "QOSMaxCpuPerJobLimit": "it asks for more cores than the QOS allows",
    "QOSMaxMemoryPerJob": "it asks for more memory than the QOS allows",
}
"""Reasons for waiting (squeue(1), JOB REASON CODES) that can never clear, in words."""
