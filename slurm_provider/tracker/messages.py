"""What a user reads when a job's state changes: what happened, why, and Slurm's id to ask about."""

import json
import re

from slurm_provider.jobmap import Attempt, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.tracker.states import SlurmState
from slurm_provider.ucloud.jobs import JobState

# Signals by which Slurm, the kernel or a user commonly end a program: signal(7).
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
}


def live_message(current: JobState, state: JobState, *, by_admin: bool = False) -> str:
    """Return what a user reads when a job that has not ended changes its state."""
    match state:
        case JobState.RUNNING if current is JobState.SUSPENDED:
            return "The job continues"
        case JobState.RUNNING:
            return "The job is now running!"
        case JobState.SUSPENDED if by_admin:
            return "An administrator holds the job: it waits until it is released"
        case JobState.SUSPENDED:
            return "The job is suspended"
        case _:
            return "The job is waiting in the queue"


def requeue_message(ended: Attempt | None, slurm_id: int) -> str:
    """Return what a user reads when Slurm has put a job back into the queue after the attempt `ended`."""
    why = _why_requeued(ended) if ended else None
    again = f"again from the beginning (Slurm job {slurm_id})"
    if why:
        return f"{why}; Slurm starts the job {again}"
    return f"Slurm has put the job back into the queue and starts it {again}"


def _why_requeued(ended: Attempt) -> str | None:
    match ended.state:
        case (
            SlurmState.NODE_FAIL | SlurmState.BOOT_FAIL | SlurmState.LAUNCH_FAILED | SlurmState.RECONFIG_FAIL
        ):
            return _sentence(_failed_node(ended.node_list))
        case SlurmState.PREEMPTED:
            return "The job was preempted, to make room for one of higher priority"
        case _:
            return None


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _failed_node(node_list: str) -> str:
    if not node_list:
        return "a node failed"
    return (
        f"one of the nodes {node_list} failed"
        if re.search(r"[\[,]", node_list)
        else f"the node {node_list} failed"
    )


def end_message(record: AccountingRecord, job: JobRow | None = None) -> str:
    """Return what a user reads when a job has ended; `job` is what is known of what it asked for."""
    slurm_job = f"Slurm job {record.slurm_id}"
    match record.state:
        case SlurmState.COMPLETED:
            return "The job has finished processing!"
        case SlurmState.OUT_OF_MEMORY | SlurmState.FAILED if record.out_of_memory:
            limit = f", {_memory(job)} a node" if job and _memory(job) else ""
            what = "it used more memory than its machine type has"
            return f"The job was ended because {what}{limit} ({slurm_job})"
        case SlurmState.FAILED if record.exit_signal:
            return f"The job has finished: it was ended by {_signal(record.exit_signal)} ({slurm_job})"
        case SlurmState.FAILED:
            return f"The job has finished with exit code {record.exit_code} ({slurm_job})"
        case SlurmState.CANCELLED if not record.HasField("cancelled_by_uid"):
            return f"The job was cancelled ({slurm_job})"
        case SlurmState.CANCELLED:
            by = "an administrator" if record.cancelled_by_uid == 0 else "its owner"
            return f"The job was cancelled by {by} ({slurm_job})"
        case SlurmState.TIMEOUT:
            return f"The job has used up its time allocation ({slurm_job})"
        case SlurmState.DEADLINE:
            return f"The job could not finish before its deadline ({slurm_job})"
        case SlurmState.NODE_FAIL | SlurmState.BOOT_FAIL:
            return f"The job was ended because {_failed_node(record.node_list)} ({slurm_job})"
        case SlurmState.PREEMPTED:
            return (
                f"The job was preempted: it was ended to make room for one of higher priority ({slurm_job})"
            )
        case _:
            return f"The job was ended by Slurm: {record.state} ({slurm_job})"


def _signal(number: int) -> str:
    name = _SIGNALS.get(number)
    return f"signal {number} ({name})" if name else f"signal {number}"


def _memory(job: JobRow) -> str | None:
    """Return the memory that a job asked for on each node; None where it is not known."""
    mebibytes = int(json.loads(job.submit_request or "{}").get("memory_mib_per_node", 0))
    if not mebibytes:
        return None
    return f"{mebibytes / 1024:g} GiB" if mebibytes % 512 == 0 else f"{mebibytes} MiB"
