"""How a terminal enters what a rank of a job sees: a script that the job leaves in its control folder."""

from enum import StrEnum
from importlib import resources


class View(StrEnum):
    """What the ranks of a job see."""

    NATIVE = "native"
    """The node as it is."""
    CONTAINER = "container"
    """Namespaces of their own, made without privileges."""
    MACHINE = "machine"
    """A virtual machine, of which there is the console."""


_END = "END-OF-ENTER"


def enter_file(view: View) -> str:
    """Return the part of a batch script that leaves the script `enter`."""
    files = resources.files(__package__)
    text = "\n".join(files.joinpath(name).read_text() for name in ("enter.sh", f"enter_{view}.sh"))
    return f"# How a terminal is opened in this job.\ncat >\"$PWD/.ucloud/enter\" <<'{_END}'\n{text}{_END}\n"
