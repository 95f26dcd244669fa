"""How busy the partitions behind a product category are."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import LiveJob, Node
from slurm_provider.ucloud.utilization import CpuAndMemory, QueueStatus, Utilization

MAX_AGE_SECONDS = 10.0


def utilization(nodes: Iterable[Node], jobs: Iterable[LiveJob], partitions: Sequence[str]) -> Utilization:
    """Return what the nodes of these partitions have and what is in use; a node in several counts once."""
    ours = [node for node in nodes if node.available and set(node.partitions) & set(partitions)]
    # A waiting job may name several partitions.
    states = [job.state for job in jobs if set(job.partition.split(",")) & set(partitions)]
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
        self._nodes: list[Node] = []
        self._jobs: list[LiveJob] = []
        self._reading = asyncio.Lock()

    async def of(self, partitions: Sequence[str]) -> Utilization:
        """Return the utilization of partitions of the cluster; raise ClusterUnavailable."""
        async with self._reading:
            if self._clock() - self._read_at > MAX_AGE_SECONDS:
                self._nodes = await self._cluster.nodes()
                self._jobs = await self._cluster.live_jobs()
                self._read_at = self._clock()
        return utilization(self._nodes, self._jobs, partitions)
