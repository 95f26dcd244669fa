"""Connected jobs ("Connect to Job"): another job's nodes under a host name that the user chooses."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.quoting import word
from slurm_provider.ucloud.jobs import JobSpecification
from slurm_provider.ucloud.values import ParameterValue

# RFC 1123, section 2.1.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 200
# What a peer's own name is followed by in the names of its nodes, and of the variable that holds them all.
_OF_A_PEER = re.compile(r"(.+)_(?:\d+|nodes)")


@dataclass(frozen=True)
class WishedPeer:
    """A job that the user wants to reach, as the user named it."""

    hostname: str
    job_id: str


@dataclass(frozen=True)
class Peer:
    """A running job of the same owner: its nodes are asked for at the start of the job that reaches it."""

    hostname: str
    job_id: str
    cluster: str
    slurm_id: int
    local_user: str

    @property
    def variable(self) -> str:
        """The host name as the end of a variable's name."""
        return re.sub(r"[^A-Z0-9]", "_", self.hostname.upper())


def wished_peers(specification: JobSpecification) -> list[WishedPeer]:
    """Return the peers among a job's parameters and resources.

    Raises LaunchError for a host name that cannot be one, and for one that stands for two things.
    """
    peers: dict[str, WishedPeer] = {}
    for value in _values(specification):
        peer = WishedPeer(checked_hostname(value.hostname or ""), value.jobId or "")
        known = peers.setdefault(re.sub("[.-]", "_", peer.hostname.lower()), peer)
        if known != peer:
            raise LaunchError(f"two connected jobs cannot both be called '{peer.hostname}'")
    for name, peer in peers.items():
        if (of := _OF_A_PEER.fullmatch(name)) and of[1] in peers:
            raise LaunchError(f"'{peer.hostname}' stands for nodes of another connected job")
    return list(peers.values())


def checked_hostname(hostname: str) -> str:
    """Return a host name unchanged; raise LaunchError when it cannot be one."""
    if not _HOSTNAME.fullmatch(hostname) or len(hostname) > _LONGEST or hostname.lower() == "localhost":
        raise LaunchError(f"{hostname!r} cannot be the host name of a connected job")
    return hostname


def connecting_lines(peers: Sequence[Peer]) -> list[str]:
    """Return the lines of the batch script that look the peers up."""
    return [f"peer {peer.hostname} {peer.variable} {peer.slurm_id} {word(peer.local_user)}" for peer in peers]


def _values(specification: JobSpecification) -> Iterator[ParameterValue]:
    values = [*(specification.parameters or {}).values(), *(specification.resources or [])]
    return (value for value in values if value.type == "peer")
