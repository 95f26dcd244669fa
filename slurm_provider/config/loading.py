"""Reading the file, and saying where in it a mistake is."""

import re
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from slurm_provider.config.sections import FacadeConfig, SidecarConfig

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


class ConfigError(Exception):
    """What is wrong with the file, one line a mistake, each naming file, line and key."""


def load_facade(path: Path) -> FacadeConfig:
    """Return the façade's configuration; raise ConfigError for anything that it cannot start with."""
    text = _read(path)
    config = _validate(path, text, FacadeConfig)
    mistakes = [
        f"{path}:{line_of(text, (section, index, 'cluster'))}: {section}.{index}.cluster:"
        f" there is no [clusters.{entry.cluster}]"
        for section in ("products", "maintenance")
        for index, entry in enumerate(getattr(config, section))
        if entry.cluster is not None and entry.cluster not in config.clusters
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def load_sidecar(path: Path) -> SidecarConfig:
    """Return the sidecar's configuration; raise ConfigError for anything that it cannot start with."""
    return _validate(path, _read(path), SidecarConfig)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: {error.reason} at byte {error.start}") from error


def _validate(path: Path, text: str, model: type[Model]) -> Model:
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        mistakes = []
        for details in error.errors():
            line = line_of(text, details["loc"])
            key = ".".join(str(part) for part in details["loc"]) or "the file"
            mistakes.append(f"{path}:{line}: {key}: {_in_words(details['type'], details['msg'])}")
        raise ConfigError("\n".join(mistakes)) from error


def _in_words(kind: str, message: str) -> str:
    match kind:
        case "extra_forbidden":
            return "there is no such key"
        case "missing":
            return "this key is missing"
        case _:
            return message.removeprefix("Value error, ")


def line_of(text: str, location: Location) -> int:
    """Return the line (from 1) of the key at `location`, or of its table where the key is absent."""
    best, depth = 1, 0
    table: list[str | int] = []
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            table = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1] == "[[":
                arrays[header[2]] = arrays.get(header[2], -1) + 1
            if table[0] in arrays:
                table.insert(1, arrays[str(table[0])])
            here: list[str | int] = list(table)
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = [*table, *(part.strip("\"'") for part in key[1].split("."))]
        else:
            continue
        shared = 0
        while shared < min(len(here), len(location)) and here[shared] == location[shared]:
            shared += 1
        if shared > depth and shared == len(here):
            best, depth = number, shared
    return best
