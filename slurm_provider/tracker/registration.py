"""The products of the configuration are made known to today's Core, beside the start."""

import asyncio
import math
from collections.abc import Sequence

import structlog

from slurm_provider.config import FacadeConfig, Product, PublicLinks
from slurm_provider.core import CoreRefused, CoreUnavailable, TodaysCore
from slurm_provider.ucloud.products import AccountingUnit, ComputeProduct, LinkProduct, ProductCategory

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Registration:
    """Registers the products once, however long Core is away."""

    def __init__(
        self, config: FacadeConfig, core: TodaysCore, first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        self._products: list[ComputeProduct | LinkProduct] = [
            *(compute_product(product, config) for product in config.products),
            *(link_product(product, config) for product in config.public_links),
        ]
        self._core = core
        self._pause_seconds = first_pause_seconds

    async def run(self) -> None:
        """Register, and try again while Core does not answer; raises nothing."""
        while True:
            try:
                await self._register(self._products)
            except CoreUnavailable as error:
                pause = self._pause_seconds
                log.warning("products not registered", reason=str(error), next_try_seconds=pause)
            except Exception:
                log.exception("products not registered")
                return
            else:
                return
            await asyncio.sleep(pause)
            self._pause_seconds = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _register(self, products: Sequence[ComputeProduct | LinkProduct]) -> None:
        try:
            await self._core.register_products([product.model_dump_json() for product in products])
        except CoreRefused as error:
            if len(products) > 1:
                for product in products:
                    await self._register([product])
                return
            log.error(
                "product not registered: Core refuses it; its category's unit, frequency and free_to_use"
                " must stay as they were first registered",
                product=f"{products[0].category.name}/{products[0].name}",
                reason=str(error),
            )
        else:
            names = [f"{product.category.name}/{product.name}" for product in products]
            log.info("products registered", products=names)


def compute_product(product: Product, config: FacadeConfig) -> ComputeProduct:
    """Return a product as Core is told of it."""
    return ComputeProduct(
        name=product.id,
        description=product.description or f"{product.id} in the partition {product.partition}",
        price=product.price or 0,
        category=_category(product.category, "COMPUTE", config),
        cpu=product.cpu,
        memoryInGigs=math.ceil(product.memory_gib),
        gpu=product.gpu,
        cpuModel=product.cpu_model or None,
        memoryModel=product.memory_model or None,
        gpuModel=product.gpu_model or None,
    )


def link_product(product: PublicLinks, config: FacadeConfig) -> LinkProduct:
    """Return a product of public links as Core is told of it."""
    return LinkProduct(
        name=product.id,
        description=product.description or f"Public links such as {product.prefix}NAME{product.suffix}",
        price=product.price,
        category=_category(product.category, "INGRESS", config),
    )


def _category(name: str, kind: str, config: FacadeConfig) -> ProductCategory:
    category = config.category(name)
    return ProductCategory(
        name=name,
        provider=config.provider.id,
        productType=kind,
        accountingUnit=AccountingUnit(
            name=category.unit,
            namePlural=category.unit_plural,
            floatingPoint=category.floating_point,
            displayFrequencySuffix=category.frequency_suffix,
        ),
        accountingFrequency=category.frequency,
        freeToUse=category.free_to_use,
        allowSubAllocations=category.sub_allocations,
    )
