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

PROGRAM = Support(logs=True, peers=True, timeExtension=True, utilization=True)
"""What this program can do for a job of any backend: no terminal, web or vnc yet."""

MACHINE = VirtualMachineSupport(
    enabled=True, logs=True, timeExtension=True, suspension=True, utilization=True
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
        docker = _if(not product.virtual_machines and _has_containers(product, config), config)
        native = _if(not product.virtual_machines, config)
        virtual_machine = MACHINE if product.virtual_machines else VirtualMachineSupport()
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


def _if(possible: bool, config: FacadeConfig) -> Support:
    flags = {"enabled": True, "bindLinkToPort": True if config.public_links else None}
    return PROGRAM.model_copy(update=flags) if possible else Support()


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
