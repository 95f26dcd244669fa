"""What a terminal runs: a shell in a replica of a job, or in a folder on this node."""

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slurm_provider.rpc.v1.shell_pb2 import FolderShell, ReplicaShell, ShellStart
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.job_folder import FolderRefused, check_confined, expand
from slurm_provider.sidecar.replicas import NotRunning, Replicas
from slurm_provider.slurm.command import SlurmUnavailable
from slurm_provider.slurm.srun import shell_step

ENTER = "enter"
"""The file of the control folder that enters a replica's own view."""

# Slurm may say that a job runs before its batch script has done anything.
# Whoever can change the file could have it run as the job's user: it has to be that user's alone.
_ENTER = """\
count=0
control=$(dirname "$0")
until [ -s "$0" ]; do
    if [ $((count += 1)) -gt 300 ]; then
        echo "This job says not how its ranks are entered; perhaps an older release has started it." >&2
        exit 1
    fi
    sleep 0.1
done
for path in "$control" "$0"; do
    if [ ! -O "$path" ] || [ -L "$path" ] || [ -n "$(find "$path" -maxdepth 0 -perm /022)" ]; then
        echo "$path is a link, not your own, or can be written by others: it is not run." >&2
        exit 1
    fi
done
exec bash "$0" "$1"
"""

_replicas = Replicas()


class NoShell(Exception):
    """There can be no shell there; the text says why."""


@dataclass(frozen=True)
class Place:
    """What is run where."""

    command: Sequence[str]
    folder: str


async def place_of(start: ShellStart, runner: Runner) -> Place:
    """Return what is run for a terminal; raise NoShell, in words."""
    try:
        match start.WhichOneof("place"):
            case "replica":
                return await _in_replica(start.replica, runner)
            case "folder":
                return _in_folder(start.folder)
            case other:
                raise NoShell(f"the agent knows no place '{other}' for a shell")
    except (FolderRefused, NotRunning) as error:
        raise NoShell(str(error)) from error
    except SlurmUnavailable as error:
        raise NoShell(f"Slurm does not answer just now, try again later: {error}") from error


async def _in_replica(shell: ReplicaShell, runner: Runner) -> Place:
    replica = await _replicas.find(shell.slurm_id, shell.rank, runner)
    folder = expand(shell.folder, Path.home())
    enter = folder / shell.control_folder / ENTER
    # A job that was submitted without UCloud has no view of its own to enter.
    ours = bool(shell.control_folder) and is_own(enter.parent)
    program = ["bash", "-c", _ENTER, str(enter), str(shell.rank)] if ours else ["bash", "-l"]
    # The folder may be on the nodes alone.
    return Place(shell_step(shell.slurm_id, replica.node, str(folder), program), "/")


def is_own(control: Path) -> bool:
    """Say whether there is a control folder; raise NoShell for one that others could have meddled with."""
    try:
        status = control.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise NoShell(f"{control} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise NoShell(f"{control} is a link, not your own, or can be written by others: it is not used")
    return True


def _in_folder(shell: FolderShell) -> Place:
    check_confined(ConfinedPath(path=shell.path, root=shell.root))
    if not Path(shell.path).is_dir():
        raise NoShell(f"{shell.path} is not a folder")
    if not os.access(shell.path, os.X_OK):
        raise NoShell(f"{shell.path} cannot be entered: Permission denied")
    return Place([pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh", "-l"], shell.path)
