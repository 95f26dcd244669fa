"""Public links (UCloud's Ingress): as Core sends them, and what it is told of them."""

from enum import StrEnum

from pydantic import BaseModel

from slurm_provider.ucloud.bulk import OptionalText, Received, Text
from slurm_provider.ucloud.jobs import EpochMilliseconds, ProductReference, ResourceOwner


class IngressState(StrEnum):
    """UCloud's states of a public link. Today's Core takes every link for ready."""

    PREPARING = "PREPARING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


class IngressSupport(BaseModel):
    """What one product of public links offers: what each domain begins and ends with."""

    product: ProductReference
    domainPrefix: str
    domainSuffix: str


class IngressSpecification(Received):
    """What the user asked for."""

    domain: Text
    product: ProductReference


class IngressStatus(Received):
    """Core's view of a public link."""

    state: OptionalText = None


class Ingress(Received):
    """A public link."""

    id: Text
    specification: IngressSpecification
    owner: ResourceOwner
    createdAt: EpochMilliseconds | None = None
    status: IngressStatus | None = None


class IngressUpdate(BaseModel):
    """A change of a public link.

    To which job it is bound Core knows by itself, from the job: a `binding` would be counted twice.
    Core fills in the time; a null there would not parse in today's, so it is 0.
    """

    state: IngressState | None = None
    status: str | None = None
    timestamp: int = 0


class IngressUpdateItem(BaseModel):
    """One item of `ingresses/control/update`."""

    id: str
    update: IngressUpdate
