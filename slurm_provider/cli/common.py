"""What the commands share: the configuration file, and how a mistake is shown."""

import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from slurm_provider.config import ConfigError, FacadeConfig, load_facade
from slurm_provider.jobmap import JobMap
from slurm_provider.jobmap.file import JobMapUnusable

DEFAULT_PATH = Path("/etc/slurm-provider/config.toml")

ConfigPath = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="SLURM_PROVIDER_CONFIG", help="The configuration file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]

# In a pipe or a file there is no edge to wrap at. What is shown is data, in which brackets mean nothing.
console = Console(width=None if sys.stdout.isatty() else 250, markup=False, emoji=False)


def fail(message: str) -> NoReturn:
    """Show what is wrong and end with exit code 1."""
    Console(stderr=True).print(
        message, style="red", markup=False, emoji=False, highlight=False, soft_wrap=True
    )
    raise typer.Exit(1)


def read_config(path: Path) -> FacadeConfig:
    """Return the façade's configuration, or end with what is wrong with it."""
    try:
        return load_facade(path)
    except ConfigError as error:
        fail(str(error))


def open_jobmap(config: FacadeConfig) -> JobMap:
    """Return the job map, or end with why it cannot be opened."""
    try:
        return JobMap(config.jobmap.path, time.time)
    except JobMapUnusable as error:
        fail(str(error))
