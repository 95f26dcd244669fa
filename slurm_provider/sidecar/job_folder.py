"""A job's folder, written as the local user."""

import os
from pathlib import Path

from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath, SubmitRequest
from slurm_provider.slurm.sbatch import batch_script


class FolderRefused(Exception):
    """A folder or file of the job that cannot be used; the text is for the user."""


def prepare(request: SubmitRequest, home: Path) -> tuple[Path, Path]:
    """Make the job's folder and its control folder; return the folder and the batch script in it.

    Doing it twice does no harm. Raises FolderRefused, InvalidDirective or OSError; then nothing
    has been submitted.
    """
    for confined in request.confined_paths:
        _check(confined)
    folder = _expand(request.folder, home)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    control = folder / request.control_folder
    control.mkdir(mode=0o700, exist_ok=True)
    for path in (folder, control):
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise FolderRefused(f"the folder {path} is there already and belongs to somebody else")
    script = control / "job.sh"
    script.write_text(batch_script(request, str(folder), str(control)))
    for file in request.control_files:
        if "/" in file.name:
            raise FolderRefused(f"{file.name!r} is no name of a file")
        (control / file.name).write_text(file.text)
    return folder, script


def _expand(folder: str, home: Path) -> Path:
    path = home / folder.removeprefix("~/") if folder.startswith("~/") else Path(folder)
    if not path.is_absolute() or ".." in path.parts:
        raise FolderRefused(f"the folder {folder} is not absolute")
    return path


def _check(confined: ConfinedPath) -> None:
    """Raise FolderRefused for a path that is not there or, with links followed, leaves its root."""
    root = Path(os.path.realpath(confined.root))
    try:
        path = Path(confined.path).resolve(strict=True)
    except OSError as error:
        raise FolderRefused(f"{confined.path} cannot be used: {error.strerror}") from error
    if not path.is_relative_to(root):
        raise FolderRefused(f"{confined.path} cannot be used: a symbolic link leads out of its drive")
