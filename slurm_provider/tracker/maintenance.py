"""Which maintenance concerns a product, and whether it takes new jobs meanwhile."""

from collections.abc import Iterable
from datetime import UTC, datetime

from slurm_provider.config import Availability, Maintenance, Product

_WORST_FIRST = (Availability.NO_SERVICE, Availability.MAJOR_DISRUPTION, Availability.MINOR_DISRUPTION)


def announced(all_: Iterable[Maintenance], product: Product, now: datetime) -> Maintenance | None:
    """Return the maintenance to show for a product: the worst that goes on, else the next to come."""
    ours = [maintenance for maintenance in all_ if _concerns(maintenance, product, now)]
    going_on = [maintenance for maintenance in ours if maintenance.starts_at <= now]
    if going_on:
        return min(going_on, key=lambda maintenance: _WORST_FIRST.index(maintenance.availability))
    return min(ours, key=lambda maintenance: maintenance.starts_at, default=None)


def closed(all_: Iterable[Maintenance], product: Product, now: datetime) -> str | None:
    """Return why a product takes no new jobs now, for the user; None when it does."""
    going_on = announced([maintenance for maintenance in all_ if maintenance.starts_at <= now], product, now)
    if going_on is None or going_on.availability is not Availability.NO_SERVICE:
        return None
    until = "for now"
    if going_on.ends_at:
        until = f"until {going_on.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"no new jobs are taken {until}, because of a maintenance: {going_on.description}"


def _concerns(maintenance: Maintenance, product: Product, now: datetime) -> bool:
    return (
        (maintenance.ends_at is None or now < maintenance.ends_at)
        and maintenance.cluster in (None, product.cluster)
        and maintenance.category in (None, product.category)
    )
