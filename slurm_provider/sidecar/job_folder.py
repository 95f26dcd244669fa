"""A job's folder, written as the local user."""

import os
import stat
from pathlib import Path

from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath, ImageFiles, SubmitRequest
from slurm_provider.slurm.sbatch import batch_script


class FolderRefused(Exception):
    """A folder or file of the job that cannot be used; the text is for the user."""


def prepare(request: SubmitRequest, home: Path) -> tuple[Path, str]:
    """Make the job's folder and its control folder; return the folder and the text of the batch script.

    Doing it twice does no harm. Raises FolderRefused, InvalidDirective or OSError; then nothing
    has been submitted.
    """
    for confined in request.confined_paths:
        check_confined(confined)
    if request.HasField("image"):
        _check_image(request.image)
    folder = expand(request.folder, home)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    control = folder / request.control_folder
    control.mkdir(mode=0o700, exist_ok=True)
    for path in (folder, control):
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise FolderRefused(f"the folder {path} is there already and belongs to somebody else")
    _check_parents(folder)
    script = batch_script(request, str(folder), str(control))
    # A copy to read: what runs is what sbatch is given.
    (control / "job.sh").write_text(script)
    return folder, script


def _check_parents(folder: Path) -> None:
    """Raise FolderRefused where another user could put a folder of theirs in this one's place.

    That is so below a folder that everybody may write to, unless it is sticky and what is in it is
    the user's or root's. Folders that only a group may write to are the site's choice.
    """
    for path, parent in zip(folder.parents, list(folder.parents)[1:], strict=False):
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and (not mode & stat.S_ISVTX or path.stat().st_uid not in (0, os.getuid())):
            raise FolderRefused(f"the folder {path} could be another user's: anybody can write to {parent}")


def expand(folder: str, home: Path) -> Path:
    """Return a folder below the user's home where it begins with `~/`; raise FolderRefused for odd ones."""
    path = home / folder.removeprefix("~/") if folder.startswith("~/") else Path(folder)
    if not path.is_absolute() or ".." in path.parts:
        raise FolderRefused(f"the folder {folder} is not absolute")
    return path


def _check_image(image: ImageFiles) -> None:
    """Raise FolderRefused for a container image of which the user sees no file."""
    if not any(os.path.lexists(path) for path in image.paths):
        raise FolderRefused(f"the container image '{image.name}' is not available")


def check_confined(confined: ConfinedPath) -> None:
    """Raise FolderRefused for a path this user cannot use or, with links followed, leaves its root."""
    root = Path(os.path.realpath(confined.root))
    try:
        path = Path(confined.path).resolve(strict=True)
    except OSError as error:
        raise FolderRefused(f"{confined.path} cannot be used: {error.strerror}") from error
    if not path.is_relative_to(root):
        raise FolderRefused(f"{confined.path} cannot be used: a symbolic link leads out of its drive")
