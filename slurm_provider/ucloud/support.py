"""What is declared for each product (UCloud's ComputeSupport)."""

from pydantic import BaseModel

from slurm_provider.ucloud.jobs import ProductReference


class ContainerSupport(BaseModel):
    """What the DOCKER backend can do; null means no."""

    enabled: bool | None = None
    web: bool | None = None
    vnc: bool | None = None
    logs: bool | None = None
    terminal: bool | None = None
    peers: bool | None = None
    timeExtension: bool | None = None
    utilization: bool | None = None


class VirtualMachineSupport(BaseModel):
    """What virtual machines can do; null means no."""

    enabled: bool | None = None
    logs: bool | None = None
    vnc: bool | None = None
    terminal: bool | None = None
    timeExtension: bool | None = None
    suspension: bool | None = None
    utilization: bool | None = None


class NativeSupport(BaseModel):
    """What the NATIVE backend can do; null means no."""

    enabled: bool | None = None
    logs: bool | None = None
    vnc: bool | None = None
    terminal: bool | None = None
    timeExtension: bool | None = None
    utilization: bool | None = None
    web: bool | None = None


class Maintenance(BaseModel):
    """An announced maintenance; times are epoch milliseconds."""

    description: str
    availability: str
    startsAt: int
    estimatedEndsAt: int | None = None


class ComputeSupport(BaseModel):
    """What one product can do."""

    product: ProductReference
    docker: ContainerSupport
    virtualMachine: VirtualMachineSupport
    native: NativeSupport
    maintenance: Maintenance | None = None
