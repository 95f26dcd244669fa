"""`[[public_links]]`: domains that users choose for their jobs' web applications."""

from typing import Annotated

from pydantic import AfterValidator, Field

from slurm_provider.config.base import Section
from slurm_provider.config.today import Category, Frequency

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"


def _lower(text: str) -> str:
    return text.lower()


class PublicLinks(Section):
    """A product of public links: each is one name between prefix and suffix.

    All names below the suffix must lead to the gateway (a wildcard in the DNS, and in the certificate).
    """

    category: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    id: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9-]*)?$"), AfterValidator(_lower)] = ""
    suffix: Annotated[str, Field(pattern=rf"^[A-Za-z0-9-]*(\.{_LABEL})+$"), AfterValidator(_lower)]
    description: str = ""
    price: int = Field(default=0, ge=0)
    """As today's Core has it registered; nothing is charged for a link."""


LINK_CATEGORY = Category(
    unit="Link",
    unit_plural="Links",
    frequency_suffix=False,
    frequency=Frequency.ONCE,
    free_to_use=True,
)
"""How a category of public links is registered that the configuration says nothing of."""
