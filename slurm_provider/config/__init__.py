"""One TOML file, one model a section.

`slurm-provider serve` reads the façade's sections, `slurm-provider sidecar` the `[sidecar]` section;
on one host both may stand in the same file.
"""

from slurm_provider.config.access import Connect, Ssh
from slurm_provider.config.choices import Choices
from slurm_provider.config.containers import Containers, Image, Runtime
from slurm_provider.config.links import PublicLinks
from slurm_provider.config.loading import ConfigError, load_facade, load_sidecar
from slurm_provider.config.machines import MachineImage, VirtualMachines
from slurm_provider.config.maintenance import Availability, Maintenance
from slurm_provider.config.sections import (
    Cluster,
    Core,
    Drive,
    Era,
    FacadeConfig,
    Product,
    Sidecar,
    SidecarConfig,
    SuspendBy,
    Tracker,
)
from slurm_provider.config.sessions import Sessions, Web
from slurm_provider.config.software import InstalledApplication, License, Modules, Sbatch, System
from slurm_provider.config.today import Category, Frequency, Orphans

__all__ = [
    "Availability",
    "Category",
    "Choices",
    "Cluster",
    "ConfigError",
    "Connect",
    "Containers",
    "Core",
    "Drive",
    "Era",
    "FacadeConfig",
    "Frequency",
    "Image",
    "InstalledApplication",
    "License",
    "MachineImage",
    "Maintenance",
    "Modules",
    "Orphans",
    "Product",
    "PublicLinks",
    "Runtime",
    "Sbatch",
    "Sessions",
    "Sidecar",
    "SidecarConfig",
    "Ssh",
    "SuspendBy",
    "System",
    "Tracker",
    "VirtualMachines",
    "Web",
    "load_facade",
    "load_sidecar",
]
