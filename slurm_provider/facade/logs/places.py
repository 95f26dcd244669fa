"""How far a reader has come in each of a job's files."""

from dataclasses import dataclass

from slurm_provider.rpc.v1.logs_pb2 import LogPosition, LogSource

LogKey = tuple[int, "LogSource.ValueType"]
"""One file of a job: rank, and stdout or stderr."""

REMEMBERED_BYTES = 64
"""Kept of what was read last, by which a file that began anew is recognized."""


@dataclass
class Place:
    """How far a reader has come in one file."""

    offset: int = 0
    before: bytes = b""
    """The last bytes before `offset`."""

    def move(self, offset: int, data: bytes) -> None:
        """Note that `data` was read from `offset` on."""
        if offset != self.offset:
            self.before = b""
        self.offset = offset + len(data)
        self.before = (self.before + data)[-REMEMBERED_BYTES:]


class Places:
    """A reader's places in all files of a job."""

    def __init__(self) -> None:
        self._places: dict[LogKey, Place] = {}

    def __getitem__(self, key: LogKey) -> Place:
        return self._places.setdefault(key, Place())

    def files(self) -> list[LogKey]:
        """Return the files of which something was read."""
        return list(self._places)

    def positions(self) -> list[LogPosition]:
        """Return from where to read on."""
        return [
            LogPosition(rank=rank, source=source, offset=place.offset, before=place.before)
            for (rank, source), place in self._places.items()
        ]
