"""One who follows a job: with the others at the ring, or alone until the ring is caught up with."""

import asyncio
import codecs
from collections.abc import AsyncIterator
from typing import NamedTuple

import structlog

from slurm_provider.facade.logs.hub import RETRY_SECONDS, Hub
from slurm_provider.facade.logs.places import LogKey, Places
from slurm_provider.facade.logs.ring import RingChunk
from slurm_provider.rpc.errors import ClusterUnavailable
from slurm_provider.rpc.v1.logs_pb2 import LogSource

log = structlog.get_logger()

TURN_BYTES = 128 << 10
"""Read at most, and kept, each time that one who has to catch up gets its turn."""


class LogText(NamedTuple):
    """What a rank has printed."""

    rank: int
    is_stderr: bool
    text: str


class Follower:
    """Gets all that the job prints, from the beginning to the end, each file's text in its order."""

    def __init__(self, hub: Hub, turns: asyncio.Semaphore) -> None:
        self._hub = hub
        self._turns = turns
        self._places = Places()
        self._generations: dict[LogKey, int] = {}
        self._decoders: dict[LogKey, codecs.IncrementalDecoder] = {}
        self.next: int | None = None
        """Number of the ring's chunk that comes next; None while catching up."""
        self._has_read_all = False

    @property
    def refusal(self) -> str | None:
        """Why the job's output cannot be read."""
        return self._hub.refusal

    async def texts(self) -> AsyncIterator[LogText]:
        """Give the text until the job has ended and all of it was given."""
        while not self._has_read_all:
            if self._keeps_up() or self._join():
                async for text in self._from_ring():
                    yield text
            else:
                for text in await self._turn():
                    yield text

    def _keeps_up(self) -> bool:
        if self.next is not None and self.next < self._hub.ring.first:
            self.next = None
        return self.next is not None

    def _join(self) -> bool:
        ring = self._hub.ring
        keys = {*ring.files, *self._places.files()}
        if not all(ring.holds_what_follows(key, self._places[key]) for key in keys):
            return False
        self._generations = {key: file.generation for key, file in ring.files.items()}
        self.next = ring.first
        self._hub.taken()
        return True

    async def _from_ring(self) -> AsyncIterator[LogText]:
        """Give what the ring holds, then wait for more or the end."""
        while self._keeps_up() and self.next is not None:
            chunk = self._hub.ring.chunk(self.next)
            if chunk is None:
                if self._hub.finished:
                    self._has_read_all = True
                    return
                await self._hub.news()
                continue
            self.next += 1
            self._hub.taken()
            if text := self._unread(chunk):
                yield text

    def _unread(self, chunk: RingChunk) -> LogText | None:
        """Return what was not read of a chunk before the ring was joined."""
        generation = self._generations.setdefault(chunk.key, chunk.generation)
        place = self._places[chunk.key]
        if chunk.generation < generation or (chunk.generation == generation and chunk.end <= place.offset):
            return None
        skipped = max(place.offset - chunk.offset, 0) if chunk.generation == generation else 0
        self._generations[chunk.key] = chunk.generation
        return self._decoded(chunk.key, chunk.offset + skipped, chunk.data[skipped:])

    def _decoded(self, key: LogKey, offset: int, data: bytes) -> LogText | None:
        decoder = self._decoders.get(key)
        if decoder is None or offset != self._places[key].offset:
            decoder = self._decoders[key] = codecs.getincrementaldecoder("utf-8")("ignore")
        self._places[key].move(offset, data)
        text = decoder.decode(data)
        rank, source = key
        return LogText(rank, source == LogSource.LOG_SOURCE_STDERR, text) if text else None

    async def _turn(self) -> list[LogText]:
        """Read on alone; what is read is kept here first, so that no slow client has its turn for long."""
        texts: list[LogText] = []
        size = 0
        news = asyncio.create_task(self._hub.news())
        try:
            async with self._turns:
                ended = self._hub.output.has_ended
                reading = self._hub.read(self._places.positions())
                reading.drain()
                try:
                    async for chunk in reading.chunks():
                        text = self._decoded((chunk.rank, chunk.source), chunk.offset, chunk.data)
                        texts += [text] if text else []
                        size += len(chunk.data)
                        if size >= TURN_BYTES:
                            return texts
                finally:
                    reading.close()
            self._has_read_all = ended
            self._hub.start_from(self._places)
            if not ended and not self._join():
                # The ring is behind for a moment: it reads the same files.
                await asyncio.wait({news}, timeout=RETRY_SECONDS)
        except ClusterUnavailable as error:
            log.info("output not read", job_id=self._hub.output.job_id, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            news.cancel()
        return texts
