"""`[[maintenance]]`: when the cluster, or a part of it, will not be what it usually is."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from slurm_provider.config.base import Section


def _with_offset(value: object) -> object:
    if getattr(value, "utcoffset", None) is None or value.utcoffset() is None:  # type: ignore[attr-defined]
        raise ValueError("must be a date and time with its offset, such as 2026-12-01T08:00:00+01:00")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_with_offset)]


class Availability(StrEnum):
    """What users notice of a maintenance, in UCloud's words."""

    MINOR_DISRUPTION = "MINOR_DISRUPTION"
    MAJOR_DISRUPTION = "MAJOR_DISRUPTION"
    NO_SERVICE = "NO_SERVICE"
    """No new job is taken while it lasts."""


class Maintenance(Section):
    """A maintenance: announced from when it is configured, shown until its end."""

    description: str = Field(min_length=1)
    availability: Availability
    starts_at: Time
    ends_at: Time | None = None
    """None: until it is taken out of the configuration."""
    cluster: str | None = None
    """Only the products on this cluster."""
    category: str | None = None
    """Only the products of this category."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be later than starts_at")
        return self
