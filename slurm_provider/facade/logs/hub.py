"""One followed job: its files are read once, for all who follow it."""

import asyncio
from typing import Protocol

import structlog

from slurm_provider.facade.logs.places import Places
from slurm_provider.facade.logs.ring import Ring
from slurm_provider.jobmap import JobOutput
from slurm_provider.rpc.errors import ClusterRefused, ClusterUnavailable
from slurm_provider.rpc.logs import LogReading, Logs
from slurm_provider.rpc.v1.logs_pb2 import LogFiles, LogPosition

log = structlog.get_logger()

LAG_BYTES = 256 << 10
"""So far the fastest reader may be behind. Slower ones may be behind by all that the ring holds."""
PATIENCE_SECONDS = 1.0
"""How long the fastest may take nothing before the ring goes on without those who read it now."""
RETRY_SECONDS = 0.5


class Reader(Protocol):
    """One who reads the ring. `next` is the number of the chunk that it takes next; None when it does not."""

    next: int | None


class Hub:
    """Reads a job's files into a ring, from the beginning to the job's end, as fast as the ring is read."""

    def __init__(self, output: JobOutput, logs: Logs) -> None:
        self.output = output
        self.ring = Ring()
        self.readers: set[Reader] = set()
        self.finished = False
        """Whether everything has been read, or nothing can be."""
        self.refusal: str | None = None
        """Why nothing can be read."""
        self._logs = logs
        self._reading: LogReading | None = None
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def note(self, output: JobOutput) -> None:
        """Take note of what has become of the job."""
        self.output = output
        self._changed.set()
        if output.has_ended and self._reading is not None:
            self._reading.drain()

    def taken(self) -> None:
        """Say that somebody has taken a chunk, or is about to."""
        self._taken.set()

    def start_from(self, places: Places) -> None:
        """Go on from the places of one who has caught up with the job, unless somebody reads the ring."""
        if self._lag() is None and not self.finished and self._reading is not None:
            self.ring.start_from(places)
            self._reading.close()
            self._reading = None

    async def news(self) -> None:
        """Wait until there is another chunk, or the end."""
        await self._news.wait()

    def read(self, positions: list[LogPosition]) -> LogReading:
        """Return a reading of the job's files."""
        output = self.output
        return self._logs.read(
            LogFiles(
                local_user=output.local_user,
                folder=output.folder or "",
                replicas=output.replicas,
                positions=positions,
            )
        )

    async def close(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._until_readable()
            while self.output.folder is not None and not await self._read_on():
                continue
        except ClusterRefused as error:
            self.refusal = str(error)
        except Exception:
            log.exception("output not read", job_id=self.output.job_id)
            self.refusal = "the provider failed; its log says why"
        self.finished = True
        self._tell()

    async def _until_readable(self) -> None:
        while not self.output.is_readable:
            self._changed.clear()
            await self._changed.wait()

    async def _read_on(self) -> bool:
        """Read from where the last reading broke off; return whether all has been read."""
        reading = self._reading = self.read(self.ring.places.positions())
        if self.output.has_ended:
            reading.drain()
        try:
            async for chunk in reading.chunks():
                await self._wait_for_readers()
                if self._reading is not reading:
                    return False
                self.ring.put((chunk.rank, chunk.source), chunk.offset, chunk.data)
                self._tell()
        except ClusterUnavailable as error:
            # The sidecar is away, or will read from elsewhere: whoever follows waits.
            log.info("output not read", job_id=self.output.job_id, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS if self._reading is reading else 0)
            return False
        finally:
            reading.close()
        return True

    async def _wait_for_readers(self) -> None:
        """Wait until somebody reads the ring, and has read it nearly to its end."""
        while (lag := self._lag()) is None or lag > LAG_BYTES:
            self._taken.clear()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS if lag else None):
                    await self._taken.wait()
            except TimeoutError:
                for reader in self.readers:
                    reader.next = None

    def _lag(self) -> int | None:
        """Return how far behind the fastest reader is; None when there is none."""
        fastest = max((reader.next for reader in self.readers if reader.next is not None), default=None)
        return None if fastest is None else self.ring.bytes_from(fastest)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
