"""The sections on virtual machines."""

from typing import Literal

from pydantic import Field

from slurm_provider.config.base import AbsolutePath, Section


class MachineImage(Section):
    """A disk that virtual machines of this name start from; it is only read.

    With `kernel` (and `initrd`, `append`) the machine starts that kernel instead of the disk's boot loader.
    """

    name: str = Field(min_length=1)
    disk: AbsolutePath
    format: Literal["qcow2", "raw"] = "qcow2"
    kernel: AbsolutePath | None = None
    initrd: AbsolutePath | None = None
    append: str | None = None


class VirtualMachines(Section):
    """How virtual machines are run, for the products that allow them."""

    qemu: str = "qemu-system-x86_64"
    accelerators: list[str] = ["kvm", "tcg"]
    """The first one that the node lets the user have is taken."""
    cpu_model: str = "max"
    """Nodes with different processors need one that all have, or a saved machine may not go on elsewhere."""
    overhead_mib: int = Field(default=512, ge=0)
    """Memory that Slurm is asked for beyond the machine's own: QEMU needs some."""
    images: list[MachineImage] = []
