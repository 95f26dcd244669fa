"""Files and folders that a user gives a job, and where the job's program finds them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.ucloud.values import ApplicationParameter, ParameterValue

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


@dataclass(frozen=True)
class Mounts:
    """The mounts of a job, in the order in which none hides another, and the path of each parameter."""

    mounts: tuple[Mount, ...]
    parameters: Mapping[str, str]

    @property
    def sources(self) -> list[ConfinedPath]:
        """What is mounted: the sidecar checks that no symbolic link leads out of its drive."""
        return [mount.source for mount in self.mounts]

    @property
    def points(self) -> tuple[Mount, ...]:
        """The mounts that lie in the job's folder, where something has to be mounted on."""
        return tuple(mount for mount in self.mounts if mount.target.startswith(f"{WORK}/"))

    def seen_at(self, path: str) -> str | None:
        """Return where the job sees a path of the cluster, or None where no mount holds it."""
        for mount in self.mounts:
            if path == mount.source.path or path.startswith(f"{mount.source.path}/"):
                return mount.target + path.removeprefix(mount.source.path)
        return None


def container_mounts(
    parameters: Sequence[ApplicationParameter],
    given: Mapping[str, ParameterValue],
    resources: Sequence[ParameterValue],
    drives: Sequence[Drive],
) -> Mounts:
    """Return what a container sees: each file at /work/NAME, or where the user wants it.

    Of equal names the second becomes NAME-2, in the order of parameters, then resources; what is
    given twice is mounted once. Raises LaunchError for paths that cannot be mounted.
    """
    taken: dict[str, Mount] = {}
    places: dict[str, str] = {}
    for name, value in _files(parameters, given, resources):
        source = local_path(value.path or "", drives)
        same = next((mount for mount in taken.values() if _is_same(mount, source, value)), None)
        target = same.target if same else _target(value, source, taken)
        taken[target] = Mount(source, target, bool(value.readOnly))
        if name is not None:
            places[name] = target
    return Mounts(tuple(sorted(taken.values(), key=lambda mount: mount.target.count("/"))), places)


def native_links(resources: Sequence[ParameterValue], drives: Sequence[Drive]) -> Mounts:
    """Return the links to the resources of a native application; its parameters are real paths.

    Raises LaunchError for a wish that only a container could fulfil.
    """
    taken: dict[str, Mount] = {}
    for value in resources:
        if value.type == "file":
            if value.mountPath:
                raise LaunchError("only an application in a container can have files at a path of their own")
            source = local_path(value.path or "", drives)
            target = _free_name(source, taken)
            taken[target] = Mount(source, target)
    return Mounts(tuple(taken.values()), {})


def _files(
    parameters: Sequence[ApplicationParameter],
    given: Mapping[str, ParameterValue],
    resources: Sequence[ParameterValue],
) -> Iterator[tuple[str | None, ParameterValue]]:
    for parameter in parameters:
        value = given.get(parameter.name)
        if value is not None and value.type == "file" and parameter.type in ("input_file", "input_directory"):
            yield parameter.name, value
    yield from ((None, value) for value in resources if value.type == "file")


def _is_same(mount: Mount, source: ConfinedPath, value: ParameterValue) -> bool:
    return (
        mount.source.path == source.path
        and mount.read_only == bool(value.readOnly)
        and value.mountPath in (None, mount.target)
    )


def _target(value: ParameterValue, source: ConfinedPath, taken: Mapping[str, Mount]) -> str:
    if not value.mountPath:
        return f"{WORK}/{_free_name(source, {target.removeprefix(f'{WORK}/') for target in taken})}"
    target = _checked_mount_path(value.mountPath)
    if target in taken:
        raise LaunchError(f"two files cannot both be at {target}")
    return target


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


def _free_name(source: ConfinedPath, taken: Mapping[str, Mount] | set[str]) -> str:
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
