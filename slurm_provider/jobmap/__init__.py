"""The job map: one SQLite file, and the only SQL in the project.

It is a cache of two truths, Slurm's and Core's, and the outbox of what Core has yet to be told.
Times in it are epoch seconds.
"""

from slurm_provider.jobmap.door import Door
from slurm_provider.jobmap.links import LinkBinding, LinkTaken, PublicLink
from slurm_provider.jobmap.outbox import Outbox
from slurm_provider.jobmap.output import JobOutput
from slurm_provider.jobmap.outside import OutsideJob
from slurm_provider.jobmap.rows import (
    OUTSIDE,
    Attempt,
    Charge,
    ClusterRow,
    JobChange,
    JobRow,
    LinkUse,
    OutboxItem,
    OutboxKind,
    Submission,
    Target,
    UserMapping,
)
from slurm_provider.jobmap.sessions import Session, SessionKind, TooManySessions
from slurm_provider.jobmap.store import JobMap, UnmappedError
from slurm_provider.jobmap.suspects import Suspect

__all__ = [
    "OUTSIDE",
    "Attempt",
    "Charge",
    "ClusterRow",
    "Door",
    "JobChange",
    "JobMap",
    "JobOutput",
    "JobRow",
    "LinkBinding",
    "LinkTaken",
    "LinkUse",
    "Outbox",
    "OutboxItem",
    "OutboxKind",
    "OutsideJob",
    "PublicLink",
    "Session",
    "SessionKind",
    "Submission",
    "Suspect",
    "Target",
    "TooManySessions",
    "UnmappedError",
    "UserMapping",
]
