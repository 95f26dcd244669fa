"""The open connections of every session, each ended when its session lets nobody in any more."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from slurm_provider.jobmap import Door, JobMap

log = structlog.get_logger()

REVIEW_SECONDS = 1.0
"""How soon at the latest a job's end, or `sessions close`, ends a connection."""
BLIND_SECONDS = 30.0
"""How long connections may go on while the job map cannot be read."""


class TooManyConnections(Exception):
    """A session has as many connections as the site allows."""


class LivingSessions:
    """Runs what connections do. Whatever ends a session is written in the job map, and read from there."""

    def __init__(self, jobmap: Door, most: int) -> None:
        self._jobmap = jobmap
        self._most = most
        self._connections: dict[int, set[asyncio.Task[None]]] = {}
        self._hurry = asyncio.Event()
        self._reviewing: asyncio.Task[None] | None = None

    async def run(self, number: int, work: Coroutine[Any, Any, None]) -> bool:
        """Do a connection's work, and say whether it came to its own end, not to that of its session.

        Raises TooManyConnections, and what the work raises.
        """
        connections = self._connections.setdefault(number, set())
        if len(connections) >= self._most:
            work.close()
            raise TooManyConnections
        task = asyncio.create_task(work)
        connections.add(task)
        if self._reviewing is None:
            self._reviewing = asyncio.create_task(self._review())
        try:
            await asyncio.wait({task})
        finally:
            # Whoever runs the connection may be cancelled, too: its work must not go on alone.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            connections.discard(task)
            if not connections:
                self._connections.pop(number, None)
        if task.cancelled():
            return False
        task.result()
        return True

    def hurry(self) -> None:
        """Look at once which sessions have ended."""
        self._hurry.set()

    async def close(self) -> None:
        """End all connections."""
        if self._reviewing is not None:
            self._reviewing.cancel()
            await asyncio.gather(self._reviewing, return_exceptions=True)
        self._cancel(set(self._connections))

    async def _review(self) -> None:
        seen_at = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(REVIEW_SECONDS):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            open_now = set(self._connections)
            try:
                self._cancel(await self._jobmap.call(_invalid, open_now) if open_now else set())
                seen_at = time.monotonic()
            except Exception:
                log.exception("sessions not reviewed", open=len(open_now))
                if time.monotonic() - seen_at > BLIND_SECONDS:
                    self._cancel(open_now)  # nobody could say that they may still be there

    def _cancel(self, numbers: set[int]) -> None:
        for number in numbers:
            for task in self._connections.get(number, ()):
                task.cancel()


def _invalid(jobmap: JobMap, numbers: set[int]) -> set[int]:
    return jobmap.sessions.invalid(numbers)
