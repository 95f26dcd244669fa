"""Where a replica of the user's own job runs, as Slurm says: never as a request says."""

import asyncio
import os
import pwd
import secrets
import time
from dataclasses import dataclass

from slurm_provider.sidecar.commands import Runner
from slurm_provider.slurm.command import SlurmUnavailable
from slurm_provider.slurm.node_address import ScontrolNodeAddress, ScontrolShowHostnames
from slurm_provider.slurm.squeue import Squeue

KEPT_SECONDS = 5.0
FAILURE_KEPT_SECONDS = 2.0
"""So that many requests at once do not ask Slurm one after the other what it could not say the first time."""


class NotRunning(Exception):
    """A job that does not run just now, or is not this user's; the text says which."""


@dataclass(frozen=True)
class Replica:
    """The node on which one rank of a job runs, and the address at which the node is reached."""

    slurm_id: int
    node: str
    address: str


class Replicas:
    """Finds replicas, and remembers for a few seconds where they are."""

    def __init__(self) -> None:
        self._nodes: dict[int, tuple[float, list[str]]] = {}
        self._failures: dict[int, tuple[float, NotRunning | SlurmUnavailable]] = {}
        self._addresses: dict[str, tuple[float, str]] = {}
        self._asking = asyncio.Lock()

    async def find(self, slurm_id: int, rank: int, runner: Runner) -> Replica:
        """Return where a rank runs; raise NotRunning or SlurmUnavailable."""
        async with self._asking:
            nodes = await self._known_nodes(slurm_id, runner)
            if rank >= len(nodes):
                raise NotRunning(f"the job has no rank {rank}: it runs on {len(nodes)} nodes")
            return Replica(slurm_id, nodes[rank], await self._address_of(nodes[rank], runner))

    async def _known_nodes(self, slurm_id: int, runner: Runner) -> list[str]:
        failed_at, failure = self._failures.pop(slurm_id, (0.0, None))
        if failure is not None and time.monotonic() < failed_at + FAILURE_KEPT_SECONDS:
            self._failures[slurm_id] = failed_at, failure
            raise failure
        try:
            return await self._nodes_of(slurm_id, runner)
        except (NotRunning, SlurmUnavailable) as error:
            self._failures[slurm_id] = time.monotonic(), error
            raise

    async def _nodes_of(self, slurm_id: int, runner: Runner) -> list[str]:
        asked, nodes = self._nodes.get(slurm_id, (0.0, []))
        if time.monotonic() < asked + KEPT_SECONDS:
            return nodes
        self._nodes.pop(slurm_id, None)
        asked = time.monotonic()
        nodes = await runner.run(ScontrolShowHostnames(await _node_list(slurm_id, runner)), [])
        self._nodes[slurm_id] = asked, nodes
        return nodes

    async def _address_of(self, node: str, runner: Runner) -> str:
        asked, address = self._addresses.get(node, (0.0, ""))
        if time.monotonic() >= asked + KEPT_SECONDS:
            asked = time.monotonic()
            address = await runner.run(ScontrolNodeAddress(node), [])
            self._addresses[node] = asked, address
        return address


async def _node_list(slurm_id: int, runner: Runner) -> str:
    separator = f"\x1f{secrets.token_hex(4)}"
    rows = await runner.run(Squeue(separator, slurm_id=slurm_id), [])
    own = pwd.getpwuid(os.getuid()).pw_name
    row = next((row for row in rows if (row.slurm_id, row.user) == (slurm_id, own)), None)
    if row is None:
        raise NotRunning("the job has ended")
    if row.state != "RUNNING" or not row.node_list:
        raise NotRunning(f"the job is not running just now: Slurm says {row.state}")
    return row.node_list
