"""What is declared for each product (UCloud's ComputeSupport), in the words of both eras.

The keys are the union of what the seeds' Core and today's read; each ignores the other's.
"""

from enum import StrEnum

from pydantic import BaseModel

from slurm_provider.ucloud.jobs import ProductReference


class Support(BaseModel):
    """What jobs of one backend can do; null means no.

    `utilization` is the seeds', `bindLinkToPort` today's, `suspension` virtual machines' alone.
    """

    enabled: bool | None = None
    web: bool | None = None
    vnc: bool | None = None
    logs: bool | None = None
    terminal: bool | None = None
    peers: bool | None = None
    timeExtension: bool | None = None
    utilization: bool | None = None
    bindLinkToPort: bool | None = None


class VirtualMachineSupport(Support):
    """What virtual machines can do."""

    suspension: bool | None = None


class AnnouncedMaintenance(BaseModel):
    """An announced maintenance (the seeds' only); times are epoch milliseconds."""

    description: str
    availability: str
    startsAt: int
    estimatedEndsAt: int | None = None


class QueueLoad(StrEnum):
    """How soon a new job of a product can start (today's `queueStatus`)."""

    AVAILABLE = "AVAILABLE"
    BUSY = "BUSY"
    FULL = "FULL"


class ComputeSupport(BaseModel):
    """What one product can do, and what it is like now."""

    product: ProductReference
    docker: Support
    virtualMachine: VirtualMachineSupport
    native: Support
    maintenance: AnnouncedMaintenance | None = None
    queueStatus: QueueLoad | None = None
