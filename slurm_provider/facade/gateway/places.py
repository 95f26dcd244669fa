"""What a browser's request leads to: a port of a rank of a running job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slurm_provider.jobmap import JobRow, Session


@dataclass(frozen=True)
class Place:
    """A port of a rank of a job; without a session it is open to everybody, as a public link."""

    job: JobRow
    rank: int
    port: int | None
    """None: the one that the replica has chosen."""
    session: Session | None = None

    @property
    def key(self) -> tuple[str, int, int | None]:
        """What two requests have in common that can share a connection to the application."""
        return self.job.job_id, self.rank, self.port


PublicLinks = Callable[[str], Awaitable[Place | None]]
"""Gives where a public link's domain leads to."""
