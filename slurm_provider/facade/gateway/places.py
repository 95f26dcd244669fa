"""What a browser's request leads to: a port of a rank of a running job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slurm_provider.jobmap import JobRow, Session

Key = tuple[str, int, int | None, int | None]
"""What two requests have in common that can share a connection to the application."""


@dataclass(frozen=True)
class Place:
    """A port of a rank of a job; without a session it is open to everybody, by a public link."""

    job: JobRow
    rank: int
    port: int | None
    """None: the one that the replica has chosen."""
    session: Session | None = None

    @property
    def key(self) -> Key:
        """What tells this place from another: a job that was restarted is another place."""
        return self.job.job_id, self.rank, self.port, self.job.slurm_id


PublicLinks = Callable[[str], Awaitable[Place | None]]
"""Gives where a public link's domain leads to."""
