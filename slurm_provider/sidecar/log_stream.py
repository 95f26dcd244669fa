"""A stream of what a job prints: files are looked at often while they grow, and seldom while they don't."""

import asyncio
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slurm_provider.rpc.v1.logs_pb2 import FollowRequest, LogChunk, LogFiles, LogSource
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.framing import finish, read_message, write_message
from slurm_provider.sidecar.log_file import CHUNK_BYTES, LogFile
from slurm_provider.sidecar.own_user import check_user

SHORTEST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
GROWING_SECONDS = 5.0
"""So long after something was new, a file still counts as one that grows."""
ROUND_BYTES = 256 << 10
"""Read before what was read is sent."""
REPLICAS_HELD = 32
"""Files of larger jobs are not kept open: an agent has only so many descriptors."""

FILE_NAMES = {LogSource.LOG_SOURCE_STDOUT: "stdout-{}.log", LogSource.LOG_SOURCE_STDERR: "stderr-{}.log"}

# A file system that hangs may keep these threads for good, but none that other calls need.
_looks = ThreadPoolExecutor(4, "logs")


async def serve_logs(connection: socket.socket, _runner: Runner) -> None:
    """Send what the files hold, then what is written to them, until the other end closes or has it all."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        request = await read_message(reader, FollowRequest)
        if request is None or not request.HasField("start"):
            return
        check_user(request.start.local_user)
        ended = asyncio.Event()
        sending = asyncio.create_task(_send(request.start, ended, writer))
        listening = asyncio.create_task(_listen(reader, ended))
        await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
        if not sending.cancelled() and sending.exception() is None:
            await finish(writer)
    finally:
        writer.transport.abort()  # not left to whoever closes the socket: the event loop still watches it


async def _listen(reader: asyncio.StreamReader, ended: asyncio.Event) -> None:
    """Note that the job has ended when that is said; return when the other end closes."""
    while request := await read_message(reader, FollowRequest):
        if request.HasField("drain"):
            ended.set()


async def _send(files: LogFiles, ended: asyncio.Event, writer: asyncio.StreamWriter) -> None:
    tails = Tails(_tails(files))
    try:
        while True:
            # What ended the job came after all that it wrote: a look that begins now sees everything.
            last = ended.is_set()
            chunks = await _in_thread(tails, last)
            for chunk in chunks:
                write_message(writer, chunk)
                await writer.drain()
            if last and not chunks:
                tails.check()
                break
            await _wait(ended, tails.seconds_until_due())
        write_message(writer, LogChunk(at_end=True))
        await writer.drain()
    finally:
        tails.close()


async def _in_thread(tails: "Tails", last: bool) -> list[LogChunk]:
    look = asyncio.get_running_loop().run_in_executor(_looks, tails.look, last)
    try:
        return await asyncio.shield(look)
    except asyncio.CancelledError:
        await asyncio.wait({look})  # its files must not be closed under it
        raise


async def _wait(ended: asyncio.Event, seconds: float) -> None:
    if ended.is_set():
        return
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return


def _tails(files: LogFiles) -> Iterable["Tail"]:
    positions = {(position.rank, position.source): position for position in files.positions}
    folder = Path(files.folder).expanduser()
    for rank in range(files.replicas):
        for source, name in FILE_NAMES.items():
            position = positions.get((rank, source))
            offset, before = (position.offset, position.before) if position else (0, b"")
            path = folder / name.format(rank)
            file = LogFile(path, offset, before, held=files.replicas <= REPLICAS_HELD)
            yield Tail(rank, source, file)


class Tail:
    """One file, and when it is to be looked at again."""

    def __init__(self, rank: int, source: "LogSource.ValueType", file: LogFile) -> None:
        self.due = 0.0
        self.failure: OSError | None = None
        """Why the last look could not tell whether there is anything new."""
        self._rank = rank
        self._source = source
        self.file = file
        self._pause = SHORTEST_PAUSE_SECONDS
        self._quiet_from = 0.0

    def look(self) -> LogChunk | None:
        """Return what is new; the next look is soon while the file grows, and later each time if not."""
        try:
            piece, self.failure = self.file.look(), None
        except OSError as error:
            piece, self.failure = None, error
        now = time.monotonic()
        if piece:
            self._pause, self._quiet_from = SHORTEST_PAUSE_SECONDS, now + GROWING_SECONDS
        elif now > self._quiet_from:
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self.due = now + (0 if piece and len(piece.data) == CHUNK_BYTES else self._pause)
        if piece is None:
            return None
        return LogChunk(rank=self._rank, source=self._source, offset=piece.offset, data=piece.data)


class Tails:
    """The files of a job."""

    def __init__(self, tails: Iterable[Tail]) -> None:
        self._tails = list(tails)

    def look(self, all_of_them: bool) -> list[LogChunk]:
        """Return what is new in the files whose turn it is, those first that have waited longest."""
        now = time.monotonic()
        chunks: list[LogChunk] = []
        size = 0
        for tail in sorted(self._tails, key=lambda tail: tail.due):
            if size >= ROUND_BYTES or not (all_of_them or tail.due <= now):
                break
            if chunk := tail.look():
                chunks.append(chunk)
                size += len(chunk.data)
        return chunks

    def check(self) -> None:
        """Raise OSError when it cannot be said that everything was read."""
        for tail in self._tails:
            if tail.failure:
                raise tail.failure

    def seconds_until_due(self) -> float:
        """Return how long there is nothing to do."""
        return max(min(tail.due for tail in self._tails) - time.monotonic(), 0) if self._tails else 1

    def close(self) -> None:
        """Let go of all files."""
        for tail in self._tails:
            tail.file.close()
