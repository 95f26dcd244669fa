"""Files and folders that a user gives a job, and where the job's program finds them."""

import re
from collections.abc import Container
from dataclasses import dataclass

from slurm_provider.launch.errors import LaunchError
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.ucloud.values import ParameterValue

WORK = "/work"

# What lies in a job's folder already: names that no mount may take.
_OURS = re.compile(r"\.ucloud|std(?:out|err)-\d+\.log")
# As Core has it, and what no program can do without.
_NOT_OVER = ("/etc/ucloud", "/opt/ucloud", "/work", "/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Mount:
    """A file or folder of a drive as the job sees it: at `target`, which is absolute in a container.

    A native application sees it at `target` in the job's folder, as a symbolic link.
    """

    source: ConfinedPath
    target: str
    read_only: bool = False


class MountTable:
    """Where a job in a container finds each file that it is given: at /work/NAME, or where the user wants it.

    Of equal names the second becomes NAME-2, in the order in which they are placed; what is given
    twice is mounted once. Placing raises LaunchError for paths that cannot be mounted.
    """

    in_container = True

    def __init__(self) -> None:
        self._taken: dict[str, Mount] = {}

    def place_parameter(self, value: ParameterValue, source: ConfinedPath) -> str:
        """Return where the program finds a file."""
        for mount in self._taken.values():
            if _is_same(mount, source, value):
                return mount.target
        target = self._mount_path(value) if value.mountPath else f"{WORK}/{self._free_name(source)}"
        self._taken[target] = Mount(source, target, bool(value.readOnly))
        return target

    place_resource = place_parameter

    def place_opened(self, value: ParameterValue, source: ConfinedPath) -> str:
        """Return where the program finds a file that another mount may hold already."""
        for mount in self._taken.values():
            if source.path == mount.source.path or source.path.startswith(f"{mount.source.path}/"):
                return mount.target + source.path.removeprefix(mount.source.path)
        return self.place_parameter(value, source)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The mounts of the job, in the order in which none hides another."""
        return tuple(sorted(self._taken.values(), key=lambda mount: mount.target.count("/")))

    @property
    def points(self) -> tuple[Mount, ...]:
        """The mounts that lie in the job's folder, where something has to be mounted on."""
        return tuple(mount for mount in self.mounts if mount.target.startswith(f"{WORK}/"))

    def _mount_path(self, value: ParameterValue) -> str:
        target = _checked_mount_path(value.mountPath or "")
        if target in self._taken:
            raise LaunchError(f"two files cannot both be at {target}")
        return target

    def _free_name(self, source: ConfinedPath) -> str:
        return _free_name(source, {target.removeprefix(f"{WORK}/") for target in self._taken})


class LinkTable:
    """Where a native application finds its files: really, and its resources by links in the job's folder.

    Placing raises LaunchError for a wish that only a container could fulfil.
    """

    in_container = False
    points: tuple[Mount, ...] = ()

    def __init__(self) -> None:
        self._taken: dict[str, Mount] = {}

    def place_parameter(self, value: ParameterValue, source: ConfinedPath) -> str:
        """Return where the file really lies."""
        _check_native(value)
        return source.path

    place_opened = place_parameter

    def place_resource(self, value: ParameterValue, source: ConfinedPath) -> str:
        """Return the name of a link."""
        _check_native(value)
        name = _free_name(source, self._taken)
        self._taken[name] = Mount(source, name)
        return name

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The links."""
        return tuple(self._taken.values())


def _check_native(value: ParameterValue) -> None:
    if value.mountPath:
        raise LaunchError("only an application in a container can have files at a path of their own")


def _is_same(mount: Mount, source: ConfinedPath, value: ParameterValue) -> bool:
    return (
        mount.source.path == source.path
        and mount.read_only == bool(value.readOnly)
        and value.mountPath in (None, mount.target)
    )


def _checked_mount_path(path: str) -> str:
    """Return a path of the user's without its last slash; raise LaunchError where nothing may be mounted."""
    names = path.rstrip("/").split("/")[1:]
    if any(character < " " for character in path):
        raise LaunchError("a mount path holds a line end or another control character")
    if not path.startswith("/") or not names or any(name in ("", ".", "..") for name in names):
        raise LaunchError(f"'{path}' cannot be a mount path: it must be absolute, without '.' and '..'")
    if path.startswith(_NOT_OVER):
        raise LaunchError(f"nothing can be mounted at {path}")
    return "/" + "/".join(names)


def _free_name(source: ConfinedPath, taken: Container[str]) -> str:
    """Return the base name of a path or, where that is taken, NAME-2, NAME-3 … before its last ending."""
    name = source.path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    free, number = name, 1
    while free in taken or _OURS.fullmatch(free):
        number += 1
        free = f"{stem}-{number}{dot}{ending}"
    return free
