"""How a job is paid for, as Core and the site's configuration say when it is made."""

from dataclasses import dataclass

from slurm_provider.config import Era, FacadeConfig, Product
from slurm_provider.tracker.charges import DEFAULT_PRICE_UNIT, UNIT_SECONDS, grid_units
from slurm_provider.ucloud.jobs import ResolvedProduct


class PaymentUnknown(Exception):
    """A product that is paid for in a way that this provider does not know; the text is for the user."""


@dataclass(frozen=True)
class Payment:
    """What a job is paid by, kept with it: later changes of its product's price are for later jobs."""

    unit_seconds: int
    """Length of a unit; 0 for a product paid once."""
    grid_units: int
    unit_price: int
    """What a unit of one replica costs in the category's accounting unit; only today's Core is told it."""


def payment(resolved: ResolvedProduct | None, product: Product, config: FacadeConfig) -> Payment:
    """Return how a job on a product is paid for; raise PaymentUnknown."""
    resolved = resolved or ResolvedProduct()
    unit = _price_unit(resolved, product, config)
    if unit not in UNIT_SECONDS:
        raise PaymentUnknown(f"the machine type is paid by '{unit}', which this provider does not know")
    seconds = UNIT_SECONDS[unit]
    return Payment(
        unit_seconds=seconds,
        grid_units=product.grid_units or grid_units(seconds),
        unit_price=_unit_price(resolved, product, config),
    )


def _price_unit(resolved: ResolvedProduct, product: Product, config: FacadeConfig) -> str:
    if config.core.era is Era.SEEDS:
        return resolved.unitOfPrice or DEFAULT_PRICE_UNIT
    category = config.category(product.category)
    named = resolved.category.accountingFrequency if resolved.category else None
    return category.usage_frequency or named or resolved.unitOfPrice or category.frequency


def _unit_price(resolved: ResolvedProduct, product: Product, config: FacadeConfig) -> int:
    category = config.category(product.category)
    if category.free_to_use or (resolved.category and resolved.category.freeToUse):
        return 0
    if product.price is not None:
        return product.price
    return 1 if resolved.price is None else resolved.price
