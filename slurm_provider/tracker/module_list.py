"""The modules that users may choose: named in the configuration, or in what Lmod's spider wrote."""

import json
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from slurm_provider.config import Choices
from slurm_provider.ucloud.bulk import Received
from slurm_provider.ucloud.choices import Module

log = structlog.get_logger()


class _Version(Received):
    full: str
    parent: list[list[str]] | None = None
    """Ways to the module: each lists what has to be loaded before it."""


class _Package(Received):
    """A package in the list that `spider -o jsonSoftwarePage` prints."""

    description: str = ""
    url: str = ""
    versions: list[_Version] | None = None


_PACKAGES: TypeAdapter[list[_Package]] = TypeAdapter(list[_Package])


class ModuleList:
    """Reads the file again when it has changed."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._seen: tuple[int, int] | None = None
        self._read: list[Module] = []

    def modules(self) -> list[Module]:
        """Return the modules, by name; blocking. A file that cannot be read leaves what it said before."""
        named = {name: Module(name=name) for name in self._choices.modules}
        if self._choices.modules_file is not None:
            self._read_file(Path(self._choices.modules_file))
        return sorted({**named, **{m.name: m for m in self._read}}.values(), key=lambda module: module.name)

    def _read_file(self, path: Path) -> None:
        try:
            status = path.stat()
            if self._seen != (status.st_mtime_ns, status.st_size):
                self._read = modules_of(json.loads(path.read_bytes()))
                self._seen = (status.st_mtime_ns, status.st_size)
        except (OSError, ValueError) as error:
            log.warning("modules not read", path=str(path), reason=str(error))


def modules_of(software: Any) -> list[Module]:
    """Return the modules in Lmod's jsonSoftwarePage; raise ValueError for anything else."""
    try:
        packages = _PACKAGES.validate_python(software)
    except ValidationError as error:
        raise ValueError("is not what `spider -o jsonSoftwarePage` prints") from error
    return [
        Module(
            name=version.full,
            description=package.description,
            shortDescription=package.description.partition("\n")[0][:120],
            dependsOn=version.parent or [],
            documentationUrl=package.url,
        )
        for package in packages
        for version in package.versions or []
    ]
