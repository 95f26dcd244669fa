"""`queueStatus` in three words, and that Slurm being away makes no call slow or fail."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import Limits, LiveJob, Node, PartitionLimits
from slurm_provider.tracker.queue_load import partitions_of, queue_load
from slurm_provider.tracker.utilization import STALE_SECONDS, Snapshot, UtilizationCache
from slurm_provider.ucloud.support import QueueLoad
from tests.unit.builders import facade_config, live

GIB = 1 << 30


def node(**changes: object) -> Node:
    facts = {"name": "n1", "partitions": ["main"], "available": True, "takes_jobs": True, "cpus": 8}
    return Node(**{**facts, "memory_bytes": 8 * GIB, **changes})  # type: ignore[arg-type]


UP = Limits(partitions=[PartitionLimits(name="main")])
STOPPED = Limits(partitions=[PartitionLimits(name="main", stopped=True)])
WAITS = live("PENDING", reason="Resources")

CASES: list[tuple[list[Node], list[LiveJob], Limits | None, str]] = [
    ([node()], [], UP, "AVAILABLE"),
    ([node()], [live("RUNNING")], None, "AVAILABLE"),
    ([node(cpus_in_use=4)], [], UP, "AVAILABLE"),
    ([node(cpus_in_use=5)], [], UP, "BUSY"),
    ([node(memory_in_use_bytes=7 * GIB)], [], UP, "BUSY"),
    ([node(cpus_in_use=8), node(name="n2")], [], UP, "AVAILABLE"),
    ([node()], [WAITS], UP, "BUSY"),
    ([node()], [live("PENDING", reason="Priority")], UP, "BUSY"),
    ([node()], [live("PENDING", reason="JobHeldUser")], UP, "AVAILABLE"),
    ([node()], [live("PENDING", reason="Dependency")], UP, "AVAILABLE"),
    ([node()], [live("PENDING", reason="Resources", partition="other")], UP, "AVAILABLE"),
    ([node()], [live("PENDING", reason="Resources", partition="other,main")], UP, "BUSY"),
    ([node()], [], STOPPED, "FULL"),
    ([node(takes_jobs=False)], [], UP, "FULL"),
    ([node(partitions=["other"])], [], UP, "FULL"),
    ([], [], UP, "FULL"),
]


@pytest.mark.parametrize(("nodes", "jobs", "limits", "load"), CASES)
def test_the_load_of_a_partition(
    tmp_path: Path, nodes: list[Node], jobs: list[LiveJob], limits: Limits | None, load: str
) -> None:
    [product] = facade_config(tmp_path).products  # 4 cores and 1.5 GiB a replica
    assert queue_load(product, Snapshot(nodes, jobs), limits) is QueueLoad(load)


def test_all_partitions_of_a_category_count(tmp_path: Path) -> None:
    [product] = facade_config(tmp_path).products
    more = product.model_copy(update={"partition_choices": ["big"]})
    assert partitions_of([product, more], product.category) == {"hpc": {"main", "big"}}
    assert partitions_of([product], "other") == {}


class Queue:
    """A cluster that answers, or not, or never."""

    name = "hpc"

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.silent = asyncio.Event()
        self.silent.set()

    async def nodes(self) -> list[Node]:
        self.asked += 1
        await self.silent.wait()
        if self.away:
            raise ClusterUnavailable("away")
        return [node()]

    async def live_jobs(self) -> list[LiveJob]:
        return []


async def test_the_load_is_read_in_the_background_and_forgotten_after_a_minute() -> None:
    queue, now = Queue(), 0.0
    cache = UtilizationCache(cast(Cluster, queue), lambda: now)
    assert await cache.lately(5) is not None
    assert await cache.lately(5) is not None
    assert queue.asked == 1
    now, queue.away = STALE_SECONDS - 1, True
    assert await cache.lately(5) is not None
    now = STALE_SECONDS + 1
    assert await cache.lately(5) is None
    assert queue.asked == 3
    await cache.close()


async def test_a_cluster_that_never_answers_is_waited_for_only_so_long() -> None:
    queue = Queue()
    queue.silent.clear()
    cache = UtilizationCache(cast(Cluster, queue))
    assert await cache.lately(0.01) is None
    assert await cache.lately(0.01) is None
    assert queue.asked == 1
    queue.silent.set()
    assert await cache.lately(5) is not None
    await cache.close()
