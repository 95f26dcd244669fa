"""How soon a new job of a product can start, in one of three words."""

from collections.abc import Sequence

from slurm_provider.config import Product
from slurm_provider.launch.product_choice import partitions_to_choose
from slurm_provider.rpc.v1.queue_pb2 import Limits, Node
from slurm_provider.tracker.utilization import Snapshot
from slurm_provider.ucloud.support import QueueLoad

# squeue's reasons of jobs that wait for room; a held job, or one with a dependency, says nothing of it.
_WAITS_FOR_ROOM = ("", "None", "Priority", "Resources")


def queue_load(product: Product, now: Snapshot, limits: Limits | None) -> QueueLoad:
    """Return what a new job of this product would find in its partition.

    FULL: nothing starts, because the partition is stopped or all of its nodes are down or drained.
    BUSY: jobs wait for room, or no node has room for one replica. AVAILABLE: else. GPUs are not counted.
    """
    partition = product.partition
    nodes = [node for node in now.nodes if node.takes_jobs and partition in node.partitions]
    stopped = {p.name for p in limits.partitions if p.stopped} if limits else set()
    if not nodes or partition in stopped:
        return QueueLoad.FULL
    if _waits(now, partition) or not any(_has_room(node, product) for node in nodes):
        return QueueLoad.BUSY
    return QueueLoad.AVAILABLE


def _waits(now: Snapshot, partition: str) -> bool:
    return any(
        job.state == "PENDING" and job.reason in _WAITS_FOR_ROOM and partition in job.partition.split(",")
        for job in now.jobs
    )


def _has_room(node: Node, product: Product) -> bool:
    return (
        node.cpus - node.cpus_in_use >= product.cpu
        and node.memory_bytes - node.memory_in_use_bytes >= product.memory_gib * (1 << 30)
    )


def partitions_of(products: Sequence[Product], category: str) -> dict[str, set[str]]:
    """Return the partitions behind a product category, by cluster."""
    found: dict[str, set[str]] = {}
    for product in products:
        if product.category == category:
            found.setdefault(product.cluster, set()).update(partitions_to_choose(product))
    return found
