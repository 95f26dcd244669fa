"""One TOML file, one model a section.

`slurm-provider serve` reads the façade's sections, `slurm-provider sidecar` the `[sidecar]` section;
on one host both may stand in the same file.
"""

from slurm_provider.config.loading import ConfigError, load_facade, load_sidecar
from slurm_provider.config.sections import (
    Cluster,
    Containers,
    Core,
    Drive,
    Era,
    FacadeConfig,
    Image,
    Product,
    Runtime,
    Sidecar,
    SidecarConfig,
    SuspendBy,
    Tracker,
)
from slurm_provider.config.software import InstalledApplication, License, Modules, Sbatch, System
from slurm_provider.config.today import Category, Frequency, Orphans

__all__ = [
    "Category",
    "Cluster",
    "ConfigError",
    "Containers",
    "Core",
    "Drive",
    "Era",
    "FacadeConfig",
    "Frequency",
    "Image",
    "InstalledApplication",
    "License",
    "Modules",
    "Orphans",
    "Product",
    "Runtime",
    "Sbatch",
    "Sidecar",
    "SidecarConfig",
    "SuspendBy",
    "System",
    "Tracker",
    "load_facade",
    "load_sidecar",
]
