"""What a job does: its batch script, and what that needs of Slurm and of the login node."""

from collections.abc import Sequence
from dataclasses import dataclass

from slurm_provider.launch.options import Options
from slurm_provider.launch.template import Interface
from slurm_provider.launch.values import Values
from slurm_provider.rpc.v1.submission_pb2 import ImageFiles


@dataclass(frozen=True)
class Body:
    """The batch script of a program or of a virtual machine, and what belongs to it."""

    script: str
    values: Values
    options: Options
    interfaces: Sequence[Interface] = ()
    """More interfaces of the application than its own, to be offered in the portal."""
    image: ImageFiles | None = None
    """A container image that has to be there."""
    overhead_mib: int = 0
    """Memory that Slurm is asked for beyond the product's."""
