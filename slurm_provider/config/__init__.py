"""One TOML file, one model a section.

`slurm-provider serve` reads the façade's sections, `slurm-provider sidecar` the `[sidecar]` section;
on one host both may stand in the same file.
"""

from slurm_provider.config.loading import ConfigError, load_facade, load_sidecar
from slurm_provider.config.sections import (
    Cluster,
    Core,
    Drive,
    Era,
    FacadeConfig,
    Image,
    MachineImage,
    Product,
    Sidecar,
    SidecarConfig,
    SuspendBy,
    Tracker,
    VirtualMachines,
)

__all__ = [
    "Cluster",
    "ConfigError",
    "Core",
    "Drive",
    "Era",
    "FacadeConfig",
    "Image",
    "MachineImage",
    "Product",
    "Sidecar",
    "SidecarConfig",
    "SuspendBy",
    "Tracker",
    "VirtualMachines",
    "load_facade",
    "load_sidecar",
]
