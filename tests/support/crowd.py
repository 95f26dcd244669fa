"""A crowd that follows jobs and checks every byte: for the load test of `follow` and scripts/bench."""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.follow import FollowClient, seeds_core, todays_core
from tests.support.jobs import job

CONNECTING_AT_A_TIME = 50
STAMP = "@"
"""Begins lines that say when they were written."""


def printing_job(lines: int, pause_seconds: float, burst_bytes: int, **how: Any) -> Any:
    """Return a job that waits for a file `go`, prints lines with their time, then much at once, and ends.

    It starts no process while it waits: there are many of them on a small machine.
    """
    burst = f"head -c {burst_bytes} /dev/zero | tr '\\0' x | fold -w 99"
    script = f"""\
exec 9<> <(exec sleep 600)
while [ ! -e go ]; do read -t 0.2 -u 9; done
for ((i = 0; i < {lines}; i++)); do echo "{STAMP}$EPOCHREALTIME $i æøå"; read -t {pause_seconds} -u 9; done
{burst}; {burst} >&2; kill %% 2>/dev/null; exit 0"""
    return job(script, **how)


@dataclass
class Heard:
    """What one follower got: of each file a digest, and how late each stamped line was."""

    digests: dict[str, Any] = field(
        default_factory=lambda: {"stdout": hashlib.sha256(), "stderr": hashlib.sha256()}
    )
    bytes: int = 0
    frames: int = 0
    delays: list[float] = field(default_factory=list)
    first_delays: list[float] = field(default_factory=list)
    """Of lines that came after a silence."""
    status: int | None = None

    def take(self, frame: Any) -> None:
        """Take a frame."""
        now = time.time()
        self.frames += 1
        if frame["type"] == "response":
            self.status = frame["status"]
        for channel, digest in self.digests.items():
            if text := frame["payload"].get(channel):
                data = text.encode()
                digest.update(data)
                self.bytes += len(data)
                for line in text.splitlines() if text[0] == STAMP else ():
                    self._note_delay(line, now)

    def _note_delay(self, line: str, now: float) -> None:
        stamp, _, number = line.removesuffix(" æøå").partition(" ")
        if line[0] == STAMP and number.isdecimal():
            delays = self.delays if int(number) else self.first_delays
            delays.append(now - float(stamp[1:]))

    def is_all_of(self, folder: Path) -> bool:
        """Say whether it is what the files of the only rank hold, to the byte."""
        return self.status == 200 and all(
            digest.hexdigest() == hashlib.sha256((folder / f"{channel}-0.log").read_bytes()).hexdigest()
            for channel, digest in self.digests.items()
        )


class Crowd:
    """Followers, each with a connection of its own, half of them in each era's way; jobs taken in turns."""

    def __init__(self, url: str, token: str, jobs: Sequence[Any], number: int) -> None:
        self.heard: list[tuple[str, Heard]] = []
        self._url = url
        self._token = token
        self._jobs = list(itertools.islice(itertools.cycle(jobs), number))
        self._connections = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Connect all, and begin to follow."""
        gate = asyncio.Semaphore(CONNECTING_AT_A_TIME)
        await asyncio.gather(*(self._begin(n, made, gate) for n, made in enumerate(self._jobs)))

    async def _begin(self, number: int, made: Any, gate: asyncio.Semaphore) -> None:
        way = seeds_core if number % 2 else todays_core
        async with gate:
            core = await self._connections.enter_async_context(way(self._url, self._token, open_timeout=60))
            await core.follow(made)
        heard = Heard()
        self.heard.append((made["id"], heard))
        self._tasks.append(asyncio.create_task(_listen(core, heard)))

    async def until_end(self, seconds: float) -> None:
        """Wait until every follow has ended."""
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Disconnect all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connections.aclose()


async def _listen(core: FollowClient, heard: Heard) -> None:
    while heard.status is None:
        frame = json.loads(await core.socket.recv())
        if "streamId" in frame:
            heard.take(frame)
