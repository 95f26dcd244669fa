"""The name of a container image becomes the files that may hold it, and the address it is pulled from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from slurm_provider.config import Containers, Runtime
from slurm_provider.launch.errors import LaunchError

# [registry[:port]/]path[:tag][@digest], as the OCI distribution specification has it. Each part begins
# with a letter or digit: none can be an option, an absolute path or `..`.
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = re.compile(rf"(?:{_PART}:\d+/)?{_PART}(?:/{_PART})*(?::{_PART})?(?:@[a-z0-9]+:[0-9a-f]{{32,128}})?")
_LONGEST = 200

_ENDINGS: Mapping[Runtime, tuple[str, ...]] = {
    Runtime.APPTAINER: (".sif", ""),
    Runtime.SINGULARITY: (".sif", ""),
    Runtime.PODMAN: ("", ".tar"),
    Runtime.CHARLIECLOUD: ("",),
}
"""What the name of an image's file ends in; nothing for a folder."""


@dataclass(frozen=True)
class ContainerImage:
    """An image, and where it may be: the first of `files` that is there, else `pull_from` if given.

    A file may begin with `~/`, the home of the job's user.
    """

    name: str
    files: tuple[str, ...]
    pull_from: str | None = None

    def cached_in(self, folder: str) -> "ContainerImage":
        """Return the image with one more file, the last, where a pulled copy is kept."""
        # Of a site's folder the site can see to it that no two names are the same when flat; of this nobody.
        return replace(self, files=(*self.files, f"{folder}/{quote(self.name, safe='')}.sif"))


def image_files(name: str, containers: Containers) -> ContainerImage:
    """Return where the image of that name is kept; raise LaunchError for a name that no image can have."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise LaunchError(f"{name!r} cannot be the name of a container image")
    files: list[str] = []
    if containers.images:
        stems = dict.fromkeys((_flat(name), re.sub(r"[:@]", "/", name)))
        endings = _ENDINGS[containers.runtime]
        files = [f"{containers.images}/{stem}{ending}" for ending in endings for stem in stems]
    return ContainerImage(name, tuple(files), _registry_address(name) if containers.pull else None)


def _flat(name: str) -> str:
    return re.sub(r"[/:@]", "_", name)


def _registry_address(name: str) -> str:
    """Return the name with its registry, which is Docker Hub's when it names none."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"
