"""What the provider's products can do, and how busy they are."""

import asyncio
import operator
from datetime import UTC, datetime
from functools import reduce
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from slurm_provider.facade.auth import documented
from slurm_provider.facade.errors import Refused
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.facade.support import support_of
from slurm_provider.tracker.queue_load import partitions_of, queue_load
from slurm_provider.tracker.utilization import Snapshot, utilization
from slurm_provider.ucloud.bulk import BulkResponse
from slurm_provider.ucloud.support import ComputeSupport, QueueLoad
from slurm_provider.ucloud.utilization import Utilization

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])

WAIT_FOR_SLURM_SECONDS = 1.0
"""Core asks every ten seconds and takes no slow answer; what Slurm says later is for the next time."""
WAIT_FOR_UTILIZATION_SECONDS = 3.0
"""A user asks, and Core gives up at 5 s."""


@router.get("/retrieveProducts")
async def retrieve_products(services: TheServices) -> BulkResponse[ComputeSupport]:
    """Say what each product can do. Slurm being away changes nothing but `queueStatus`, then null."""
    config, now = services.config, datetime.now(UTC)
    loads = await _loads(services)
    return BulkResponse(
        responses=[
            support_of(product, config, now, loads.get((product.category, product.id)))
            for product in config.products
        ]
    )


async def _loads(services: Services) -> dict[tuple[str, str], QueueLoad]:
    """Return the load of each product whose cluster has answered lately."""
    known = await _snapshots(services, list(services.utilization), WAIT_FOR_SLURM_SECONDS)
    loads = {}
    for product in services.config.products:
        if snapshot := known[product.cluster]:
            limits = await services.tracker.limits[product.cluster].last_known()
            loads[product.category, product.id] = queue_load(product, snapshot, limits)
    return loads


async def _snapshots(services: Services, clusters: list[str], seconds: float) -> dict[str, Snapshot | None]:
    snapshots = await asyncio.gather(*(services.utilization[name].lately(seconds) for name in clusters))
    return dict(zip(clusters, snapshots, strict=True))


@router.get("/retrieveUtilization")
async def retrieve_utilization(
    services: TheServices,
    category: Annotated[str, Query(alias="categoryId", description="A product category")],
) -> Utilization:
    """Say how busy the partitions behind a product category are."""
    partitions = partitions_of(services.config.products, category)
    if not partitions:
        raise Refused(404, f"there is no product category '{category}'")
    snapshots = await _snapshots(services, list(partitions), WAIT_FOR_UTILIZATION_SECONDS)
    if None in snapshots.values():
        raise Refused(400, "Slurm does not answer just now, try again later")
    found = [utilization(now, partitions[name]) for name, now in snapshots.items() if now]
    return reduce(operator.add, found)
