"""`backup`: a consistent copy of the job map, while the façade goes on."""

from pathlib import Path
from typing import Annotated

import typer

from slurm_provider.cli.common import DEFAULT_PATH, ConfigPath, console, fail, read_config
from slurm_provider.jobmap.copy import CopyFailed, copy_to


def backup(
    target: Annotated[Path, typer.Argument(help="The new file; it must not be there yet.")],
    config: ConfigPath = DEFAULT_PATH,
) -> None:
    """Copy the job map to a new file: complete, checked, and of one moment, while the façade goes on."""
    try:
        copy_to(Path(read_config(config).jobmap.path), target)
    except CopyFailed as error:
        fail(str(error))
    console.print(f"{target} is a copy of the job map, {target.stat().st_size} bytes")
