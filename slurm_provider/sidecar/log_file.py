"""A log file that is read while it grows: by looking, since no file system tells of another node's writes."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

CHUNK_BYTES = 64 << 10
"""Read at most at a look."""
REMEMBERED_BYTES = 64
"""How much of what stands before a position is kept, to notice that the file began anew."""
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)


class Piece(NamedTuple):
    """Bytes of a file, and where in it they begin."""

    offset: int
    data: bytes


class LogFile:
    """One file, from a position onwards, whatever happens to it: it may come late, go, or begin anew.

    Only regular files are read, and only as far as their size says. With `held` the file stays open
    between two looks, so that one that is renamed is read to its end before that in its place.
    """

    def __init__(self, path: Path, offset: int = 0, before: bytes = b"", *, held: bool = True) -> None:
        self._path = path
        self._offset = offset
        self._before = before
        self._held = held
        self._open: OpenFile | None = None

    def look(self) -> Piece | None:
        """Return what is new, or None for nothing, as for a file that is not there or is not the user's.

        Raises OSError when it cannot be told: without descriptors, or when a file system does not answer.
        Each look opens the file anew, which is what makes a network file system ask for its present size.
        """
        there = OpenFile.at(self._path)
        try:
            return self._look(there)
        finally:
            if there is not None and there is not self._open:
                there.close()

    def _look(self, there: "OpenFile | None") -> Piece | None:
        if self._open is not None and not (there and there.is_same(self._open)):
            # It was renamed or removed: what was still written to it comes first.
            try:
                if piece := self._read(self._open):
                    return piece
            except OSError:
                self.close()  # it may be gone for good
                raise
            self.close()
            if there is not None:
                self._begin_anew()
        if there is None:
            return None
        if self._has_begun_anew(there):
            self._begin_anew()
        if self._held and self._open is None:
            self._open = there
        return self._read(there)

    def _read(self, file: "OpenFile") -> Piece | None:
        data = file.read(self._offset, CHUNK_BYTES)
        if not data:
            return None
        piece = Piece(self._offset, data)
        self._offset += len(data)
        self._before = (self._before + data)[-REMEMBERED_BYTES:]
        return piece

    def _has_begun_anew(self, file: "OpenFile") -> bool:
        """Say whether the file is shorter than what was read, or has grown again but holds something else."""
        start = self._offset - len(self._before)
        return file.size() < self._offset or file.read(start, len(self._before)) != self._before

    def _begin_anew(self) -> None:
        self._offset = 0
        self._before = b""

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None


class OpenFile:
    """An open regular file."""

    def __init__(self, descriptor: int, identity: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self._identity = identity

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Open what is at a path; return None unless it is a regular file that can be read.

        It is looked at before, because to open a device may do something; and opened without waiting,
        because it may be a named pipe by then.
        """
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                return None
            raise
        try:
            status = os.fstat(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return cls(descriptor, (status.st_dev, status.st_ino))

    def is_same(self, other: "OpenFile") -> bool:
        """Say whether both are the same file."""
        return self._identity == other._identity

    def size(self) -> int:
        """Return the file's size; raise OSError when it cannot be told."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, most: int) -> bytes:
        """Return bytes from a place in the file, none beyond its size; raise OSError when that fails."""
        length = min(most, self.size() - offset)
        return os.pread(self._descriptor, length, offset) if length > 0 else b""

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            os.close(self._descriptor)
