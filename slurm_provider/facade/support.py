"""What a product is declared to support."""

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.ucloud.jobs import ProductReference
from slurm_provider.ucloud.support import (
    ComputeSupport,
    ContainerSupport,
    NativeSupport,
    VirtualMachineSupport,
)


def support_of(product: Product, config: FacadeConfig) -> ComputeSupport:
    """Return the product's `support` setting, or else what this provider can do."""
    if product.support is not None:
        docker = ContainerSupport.model_validate(product.support.docker)
        native = NativeSupport.model_validate(product.support.native)
        virtual_machine = VirtualMachineSupport.model_validate(product.support.virtualMachine)
    else:
        docker = ContainerSupport()
        if config.images:
            docker = ContainerSupport(enabled=True, timeExtension=True, utilization=True)
        native = NativeSupport(enabled=True, timeExtension=True, utilization=True)
        virtual_machine = VirtualMachineSupport()
    return ComputeSupport(
        product=ProductReference(id=product.id, category=product.category, provider=config.provider.id),
        docker=docker,
        native=native,
        virtualMachine=virtual_machine,
    )
