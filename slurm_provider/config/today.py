"""What only today's Core needs to be told: how usage is counted, and which of its jobs are gone."""

from enum import StrEnum

from pydantic import Field

from slurm_provider.config.base import Section


class Frequency(StrEnum):
    """How often a product is paid for (UCloud's AccountingFrequency)."""

    ONCE = "ONCE"
    PERIODIC_MINUTE = "PERIODIC_MINUTE"
    PERIODIC_HOUR = "PERIODIC_HOUR"
    PERIODIC_DAY = "PERIODIC_DAY"


class Category(Section):
    """A product category as it is registered; Core never lets unit, frequency and freedom be changed."""

    unit: str = "Core"
    """The accounting unit, and below its plural: a resource, or a currency."""
    unit_plural: str = "Cores"
    floating_point: bool = False
    """Whether Core shows usage as millionths of the unit, as for money."""
    frequency_suffix: bool = True
    """Whether Core shows `unit-minutes`, not `units`."""
    frequency: Frequency = Frequency.PERIODIC_MINUTE
    free_to_use: bool = False
    sub_allocations: bool = True
    usage_frequency: Frequency | None = None
    """In what usage is counted, where that is not the category's own frequency.

    UCloud's own provider reports resource-minutes also for categories paid by the hour or the day:
    PERIODIC_MINUTE does the same.
    """


class Orphans(Section):
    """When a job that Core denies is ended: never on one answer alone."""

    confirmations: int = Field(default=3, ge=2)
    """How often Core must have refused an update of the job and then said that it does not exist."""
    pause_seconds: float = Field(default=60, gt=0)
    """Between two of these."""
    minimum_age_seconds: float = Field(default=300, ge=0)
