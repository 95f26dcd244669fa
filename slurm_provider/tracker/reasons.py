"""Why a job waits (squeue(1), JOB REASON CODES), in words for its user."""

import re
from collections.abc import Mapping

_PAUSED = "job requeued in held state"
_HELD = ("JobHeld", "JobHoldMaxRequeue", _PAUSED, "launch failed requeued held")


def is_held(reason: str) -> bool:
    """Return whether somebody, or Slurm itself, keeps the job from starting until it is released."""
    return reason.startswith(_HELD)


def is_paused(reason: str) -> bool:
    """Return whether somebody has put the job back into the queue to wait there (`scontrol requeuehold`)."""
    return reason.startswith(_PAUSED)


def code(reason: str) -> str:
    """Return the code of a reason, without the nodes or other details that may follow it."""
    return re.split(r"[,(:]", reason, maxsplit=1)[0].strip()


STUCK_REASONS: Mapping[str, str] = {
    "AccountNotAllowed": "its Slurm account may not use the partition",
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
    "QOSNotAllowed": "its QOS may not be used in the partition",
}
"""Reasons that can never clear."""

_REASONS: Mapping[str, str] = {
    "BeginTime": "it may not start yet",
    "BurstBufferResources": "the burst buffer has no room for it",
    "BurstBufferStageIn": "its data is being copied to the burst buffer",
    "Cleaning": "Slurm is still cleaning up after its last run",
    "Dependency": "it depends on another job that has not ended",
    "FrontEndDown": "the node that would start it is down",
    "JobArrayTaskLimit": "as many tasks of the job array run as may run together",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "its owner holds it",
    "Licenses": "the licences that it needs are in use",
    "NodeDown": "a node that it needs is down",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is closed",
    "PowerNotAvail": "there is not enough power for it now",
    "PowerReserved": "the power that it needs is reserved",
    "Priority": "other jobs are ahead in the queue",
    "Prolog": "its nodes are being prepared",
    "QOSUsageThreshold": "its QOS has used up its share",
    "ReqNodeNotAvail": "nodes that it needs are down, drained or reserved",
    "Reservation": "its reservation has not begun, or is full",
    "ReservationDeleted": "its reservation was deleted",
    "Resources": "it is next, and waits for enough nodes to become free",
    "SchedDefer": "Slurm starts no jobs just now",
    "Nodes required for job are DOWN": "nodes that it needs are down, drained or reserved",
}

_LIMIT = re.compile(r"(Assoc|QOS)?(Grp|Max|Min)([A-Z][A-Za-z]*?)(Per(?:Job|Node|User|Account))?(?:Limit)?$")

_COUNTED: tuple[tuple[str, str], ...] = (
    ("SubmitJobs", "jobs in the queue"),
    ("Jobs", "running jobs"),
    ("CPURunMin", "core minutes of running jobs"),
    ("CpuRunMin", "core minutes of running jobs"),
    ("CPUMin", "core minutes"),
    ("Cpu", "cores"),
    ("CPU", "cores"),
    ("Mem", "memory"),
    ("Node", "nodes"),
    ("GRES", "devices such as GPUs"),
    ("Wall", "time"),
    ("License", "licences"),
    ("Billing", "billing units"),
)


def in_words(reason: str) -> str | None:
    """Return why a job waits; None when Slurm does not say, or the code says nothing to a user."""
    name = code(reason)
    if not name or name == "None":
        return None
    if words := STUCK_REASONS.get(name) or _REASONS.get(name):
        return words
    if match := _LIMIT.fullmatch(name):
        return _limit_in_words(match)
    return f"Slurm says '{reason}'"


def _limit_in_words(limit: re.Match[str]) -> str:
    """Return a limit's name, e.g. `QOSMaxCpuPerUserLimit`, in words."""
    whose, kind, resource, per = limit.groups()
    owner = "account" if whose == "Assoc" else "QOS"
    counted = next((words for name, words in _COUNTED if resource.startswith(name)), "resources")
    if kind == "Min":
        return f"it asks for fewer {counted} than the {owner} demands"
    if kind == "Grp":
        return f"all jobs of the {owner} together use as much as they may: {counted}"
    match per:
        case "PerJob" | "PerNode":
            return f"it asks for more than the {owner} allows a job: {counted}"
        case "PerAccount":
            return f"the account uses as much as the {owner} allows: {counted}"
        case _:
            return f"its owner uses as much as the {owner} allows: {counted}"
