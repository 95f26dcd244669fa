"""Following a job: what its user is told of states, updates and log, as it happens."""

import asyncio
import copy
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from .log_sockets import LogSockets
from .views import show_job
from .wire import FINAL_STATES, CoreError, Era, JsonObject
from .world import World

DRAIN_SECONDS = 15.0
_ALL = {"includeApplication": "true", "includeProduct": "true", "includeUpdates": "true"}


class Follow:
    """One user's view of one job, from its first line on."""

    def __init__(self, world: World, sockets: LogSockets, row: JsonObject, user: str) -> None:
        self._world = world
        self._sockets = sockets
        self._row = row
        self._user = user
        self._told = len(row["updates"])
        self._state: object = None
        # Bounded, so that a user who reads slowly holds the provider back, as Core does.
        self._out: asyncio.Queue[JsonObject | None] = asyncio.Queue(maxsize=16)

    async def messages(self) -> AsyncGenerator[JsonObject]:
        """Yield JobsFollowResponse objects until the job and its log have ended; CoreError if that fails."""
        yield self._first()
        tasks = [asyncio.create_task(self._tell()), asyncio.create_task(self._read_log())]
        together = asyncio.gather(*tasks)
        together.add_done_callback(lambda _: self._wake())
        try:
            while not (together.done() and self._out.empty()):
                message = await self._out.get()
                if message is not None:
                    yield message
            await together
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(together, *tasks, return_exceptions=True)

    def _wake(self) -> None:
        with suppress(asyncio.QueueFull):
            self._out.put_nowait(None)

    def _first(self) -> JsonObject:
        self._state = self._row["status"]["state"]
        if self._world.era is Era.SEEDS:
            return self._message(newStatus=self._status())
        return self._message(initialJob=show_job(self._world, self._row, _ALL, whole=True))

    async def _tell(self) -> None:
        """Tell each change of the job until its end."""
        while self._state not in FINAL_STATES:
            await self._world.journal.until(self._has_news)
            updates = copy.deepcopy(self._row["updates"][self._told :])
            self._told += len(updates)
            self._state = self._row["status"]["state"]
            await self._out.put(self._message(updates=updates, newStatus=self._status()))

    def _has_news(self) -> bool:
        return len(self._row["updates"]) > self._told or self._row["status"]["state"] != self._state

    async def _read_log(self) -> None:
        """Hand the log on. The provider has to end it, soon after the job has ended."""
        ended = False
        async with aclosing(self._sockets.follow(self._row, self._user)) as frames:
            async for frame in frames:
                ended = frame.is_last
                if ended and frame.status != 200:
                    raise CoreError(frame.status or 502, "The provider does not tell the log")
                if frame.has_text:
                    status = self._status() if self._world.era is Era.SEEDS else None
                    await self._out.put(self._message(log=[frame.log], newStatus=status))
        if not ended:
            raise CoreError(502, "The connection to the provider was lost")
        await self._expect_end()

    async def _expect_end(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._world.journal.until(lambda: self._row["status"]["state"] in FINAL_STATES)
        except TimeoutError:
            self._world.journal.violation("a follow ended before its job did", "follow", self._row["id"])

    def _status(self) -> JsonObject:
        return {**self._row["status"], **dict.fromkeys(_RESOLVED)}

    def _message(self, **parts: Any) -> JsonObject:
        message: JsonObject = {"updates": [], "log": [], "newStatus": None}
        if self._world.era is Era.TODAY:
            message["initialJob"] = None
        return message | parts


_RESOLVED = ("resolvedApplication", "resolvedProduct", "resolvedSupport")
