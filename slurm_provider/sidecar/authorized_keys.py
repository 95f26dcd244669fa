"""A block of keys in ~/.ssh/authorized_keys, kept as the local user; the rest of the file is the user's."""

import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from slurm_provider.ssh_key import KeyRefused, checked_key

FILE = "authorized_keys"
_NEW_FILE = ".authorized_keys.slurm-provider"
LARGEST_FILE_BYTES = 1 << 20
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ONE_AT_A_TIME = threading.Lock()


class KeysRefused(Exception):
    """A file that is left alone; the text says why."""


def with_block(content: bytes, label: str, keys: Sequence[str]) -> bytes:
    """Return the content of an authorized_keys file in which the block of this label holds these keys.

    Each line of the block ends with the label. So a block whose end somebody has deleted takes no
    other key with it.
    """
    begin, end = f"# BEGIN {label} (kept by slurm-provider)".encode(), f"# END {label}".encode()
    own = f" {label}".encode()
    kept = [
        line
        for line in content.splitlines(keepends=True)
        if line.strip() not in (begin, end) and not line.rstrip().endswith(own)
    ]
    if keys:
        if kept and not kept[-1].endswith(b"\n"):
            kept[-1] += b"\n"
        block = [begin, *(key.encode() + own for key in keys), end]
        kept += [line + b"\n" for line in block]
    return b"".join(kept)


def set_keys(home: Path, label: str, keys: Sequence[str]) -> None:
    """Make the block of this label hold exactly these keys; doing it twice changes nothing.

    The file is replaced as a whole, so that sshd never reads half of it. Raises KeysRefused, or
    OSError; then it is as it was.
    """
    if not re.fullmatch(r"[A-Za-z0-9._:/-]+", label):
        raise KeysRefused("the block of keys has no proper label")
    try:
        checked = sorted({checked_key(key) for key in keys})
    except KeyRefused as error:
        raise KeysRefused(str(error)) from error
    with _ONE_AT_A_TIME, _ssh_folder(home, make=bool(checked)) as folder:
        if folder is not None:
            _set_keys(folder, label, checked)


@contextmanager
def _ssh_folder(home: Path, make: bool) -> Iterator[int | None]:
    """Open ~/.ssh, writable by its owner alone as sshd demands; None if it is not there, nor to be made."""
    path = home / ".ssh"
    if make:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise KeysRefused(f"{path} is a symbolic link, or no folder") from error
    try:
        status = os.fstat(folder)
        if status.st_uid != os.getuid():
            raise KeysRefused(f"{path} belongs to somebody else")
        if status.st_mode & _WRITABLE_BY_OTHERS:
            os.fchmod(folder, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)
        yield folder
    finally:
        os.close(folder)


def _set_keys(folder: int, label: str, keys: Sequence[str]) -> None:
    content, mode = _read(folder)
    wanted = with_block(content, label, keys)
    safe = mode & ~_WRITABLE_BY_OTHERS
    if wanted != content or safe != mode:
        _replace(folder, wanted, safe)


def _read(folder: int) -> tuple[bytes, int]:
    """Return the file's content and mode; nothing, and 0600, when it is not there."""
    try:
        # Without O_NONBLOCK a pipe in the file's place would hold us up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(FILE, flags, dir_fd=folder)
    except FileNotFoundError:
        return b"", 0o600
    except OSError as error:
        raise KeysRefused(f"~/.ssh/{FILE} is a symbolic link, or cannot be read") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise KeysRefused(f"~/.ssh/{FILE} is no file of the user's own")
        if status.st_size > LARGEST_FILE_BYTES:
            raise KeysRefused(f"~/.ssh/{FILE} is larger than {LARGEST_FILE_BYTES >> 20} MiB")
        return file.read(), stat.S_IMODE(status.st_mode)


def _replace(folder: int, content: bytes, mode: int) -> None:
    with suppress(FileNotFoundError):  # left by an agent that was killed
        os.unlink(_NEW_FILE, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_NEW_FILE, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(_NEW_FILE, FILE, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(_NEW_FILE, dir_fd=folder)
        raise
    os.fsync(folder)
