"""How busy the partitions behind products are."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import LiveJob, Node
from slurm_provider.ucloud.utilization import CpuAndMemory, QueueStatus, Utilization

log = structlog.get_logger()

MAX_AGE_SECONDS = 10.0
STALE_SECONDS = 60.0
"""What is older says nothing of now."""


@dataclass(frozen=True)
class Snapshot:
    """A cluster's nodes and queue at one time."""

    nodes: Sequence[Node]
    jobs: Sequence[LiveJob]


def utilization(now: Snapshot, partitions: Collection[str]) -> Utilization:
    """Return what the nodes of these partitions have and what is in use; a node in several counts once."""
    ours = [node for node in now.nodes if node.available and not set(partitions).isdisjoint(node.partitions)]
    # A waiting job may name several partitions.
    states = [job.state for job in now.jobs if not set(partitions).isdisjoint(job.partition.split(","))]
    return Utilization(
        capacity=CpuAndMemory(
            cpu=sum(node.cpus for node in ours), memory=sum(node.memory_bytes for node in ours)
        ),
        usedCapacity=CpuAndMemory(
            cpu=sum(node.cpus_in_use for node in ours), memory=sum(node.memory_in_use_bytes for node in ours)
        ),
        queueStatus=QueueStatus(running=states.count("RUNNING"), pending=states.count("PENDING")),
    )


class UtilizationCache:
    """A cluster's nodes and queue, asked for at most once in a while however often they are wanted."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._read_at = float("-inf")
        self._snapshot = Snapshot((), ())
        self._reading = asyncio.Lock()
        self._refresh: asyncio.Task[None] | None = None

    async def lately(self, within_seconds: float) -> Snapshot | None:
        """Return nodes and queue of the last minute; None when there are none within so many seconds.

        Never raises: Slurm goes on being asked in the background.
        """
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._try_to_read())
        await asyncio.wait([self._refresh], timeout=within_seconds)
        return self._snapshot if self._clock() - self._read_at < STALE_SECONDS else None

    async def _read(self) -> None:
        async with self._reading:
            if self._clock() - self._read_at > MAX_AGE_SECONDS:
                self._snapshot = Snapshot(await self._cluster.nodes(), await self._cluster.live_jobs())
                self._read_at = self._clock()

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except ClusterUnavailable as error:
            log.info("utilization not read", cluster=self._cluster.name, reason=str(error))

    async def close(self) -> None:
        """Stop asking."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait([self._refresh])
