"""Small files that a replica has written: read as its user, without following any link."""

import os
import re
import stat
from pathlib import Path

from slurm_provider.sidecar.job_folder import FolderRefused, expand

_LIMIT_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileRefused(Exception):
    """A file that is not read; the text says why."""


def read_replica_file(folder: str, control_folder: str, rank: int, name: str) -> str:
    """Return the text of a file in a replica's part of the control folder; "" when there is none."""
    for part in (control_folder, name):
        if not _NAME.fullmatch(part.removeprefix(".")):
            raise FileRefused(f"'{part}' is not the plain name of a file")
    try:
        return _read(expand(folder, Path.home()), control_folder, f"rank-{rank}", name)
    except FileNotFoundError:
        return ""
    except (FolderRefused, OSError, ValueError) as error:
        raise FileRefused(f"the replica's file {name} cannot be read: {error}") from error


def _read(folder: Path, *names: str) -> str:
    opened = [os.open(folder, _FOLDER)]
    try:
        for name in names[:-1]:
            opened.append(os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=opened[-1]))
        opened.append(os.open(names[-1], _FILE, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            raise ValueError("it is no regular file")
        text = os.read(opened[-1], _LIMIT_BYTES + 1)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(text) > _LIMIT_BYTES:
        raise ValueError("it is too long")
    return text.decode()
