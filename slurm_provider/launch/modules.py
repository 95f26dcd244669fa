"""Modules of the nodes (Lmod, Environment Modules), as lines of bash."""

import re
from collections.abc import Sequence

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.quoting import quoted

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+/@:=-]*")
# A login shell, such as a batch script, has defined it already, or at least set where it is.
_DEFINE_MODULE = (
    "for ucloud_init in /etc/profile.d/lmod.sh /etc/profile.d/modules.sh"
    ' "${LMOD_PKG:-/usr/share/lmod/lmod}/init/bash" "${MODULESHOME:-/usr/share/modules}/init/bash"; do',
    "    type module >/dev/null 2>&1 && break",
    '    [ ! -r "$ucloud_init" ] || . "$ucloud_init"',
    "done",
)


def checked_modules(names: Sequence[str]) -> list[str]:
    """Return the names of modules unchanged; raise LaunchError for what `module` takes for something else."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise LaunchError(f"{name!r} cannot be the name of a module")
    return list(names)


def module_lines(names: Sequence[str], init: str | None) -> list[str]:
    """Return bash that leaves exactly these modules loaded, or ends the program in words; nothing for none.

    `init` is the file that defines `module`; without it the usual places are tried.
    """
    if not names:
        return []
    lines = [
        'ucloud_fail() { echo "$1" >&2; exit 1; }',
        *([f". {quoted(init)}"] if init else _DEFINE_MODULE),
        "type module >/dev/null 2>&1 || ucloud_fail 'There are no modules here (Lmod or Environment Modules),"
        " which the application needs.'",
        "module purge",
    ]
    for name in checked_modules(names):
        words = f"The module '{name}' could not be loaded on this node."
        lines.append(f"module load {quoted(name)} || ucloud_fail {quoted(words)}")
    return lines
