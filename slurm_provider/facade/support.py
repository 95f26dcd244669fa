"""What a product is declared to support: computed from what this program and the site can do."""

from datetime import datetime

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.config.maintenance import Maintenance
from slurm_provider.tracker.maintenance import announced
from slurm_provider.ucloud.jobs import ProductReference
from slurm_provider.ucloud.support import (
    AnnouncedMaintenance,
    ComputeSupport,
    QueueLoad,
    Support,
    VirtualMachineSupport,
)

PROGRAM = Support(logs=True, terminal=True, peers=True, timeExtension=True, utilization=True)
"""What this program can do for a job of any backend, whatever the site has set up."""

MACHINE = VirtualMachineSupport(
    enabled=True, logs=True, terminal=True, timeExtension=True, suspension=True, utilization=True
)
"""What it can do for a virtual machine."""


def support_of(
    product: Product, config: FacadeConfig, now: datetime, load: QueueLoad | None
) -> ComputeSupport:
    """Return what a product can do: its `support` setting, or else what is true of program and site."""
    if declared := product.support:
        docker = Support.model_validate(declared.docker)
        native = Support.model_validate(declared.native)
        virtual_machine = VirtualMachineSupport.model_validate(declared.virtualMachine)
    else:
        program = _program(product, config) if not product.virtual_machines else Support()
        docker = program if _has_containers(product, config) else Support()
        native = program
        virtual_machine = _machine(product, config) if product.virtual_machines else VirtualMachineSupport()
    return ComputeSupport(
        product=ProductReference(id=product.id, category=product.category, provider=config.provider.id),
        docker=docker,
        native=native,
        virtualMachine=virtual_machine,
        maintenance=_in_ucloud(announced(config.maintenance, product, now)),
        queueStatus=load,
    )


def _has_containers(product: Product, config: FacadeConfig) -> bool:
    """Say whether container images, or what stands for them, can run on the product's cluster."""
    return bool(config.images) or config.clusters[product.cluster].containers is not None


def _program(product: Product, config: FacadeConfig) -> Support:
    tunnels = config.clusters[product.cluster].has_tunnels
    flags = {
        "enabled": True,
        "web": (tunnels and config.web is not None) or None,
        "vnc": tunnels or None,
        "bindLinkToPort": True if config.public_links else None,
    }
    return PROGRAM.model_copy(update=flags)


def _machine(product: Product, config: FacadeConfig) -> VirtualMachineSupport:
    return MACHINE.model_copy(update={"vnc": config.clusters[product.cluster].has_tunnels or None})


def _in_ucloud(maintenance: Maintenance | None) -> AnnouncedMaintenance | None:
    if maintenance is None:
        return None
    return AnnouncedMaintenance(
        description=maintenance.description,
        availability=maintenance.availability,
        startsAt=_milliseconds(maintenance.starts_at),
        estimatedEndsAt=maintenance.ends_at and _milliseconds(maintenance.ends_at),
    )


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp()) * 1000
