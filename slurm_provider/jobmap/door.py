"""The one door from asynchronous code to the job map."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from slurm_provider.jobmap.outbox import Outbox
from slurm_provider.jobmap.store import JobMap, UsageOf

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Door:
    """Runs the job map's methods in a thread of their own, one after the other.

    So no transaction blocks the event loop, and no two of this process meet.
    """

    def __init__(self, jobmap: JobMap, thread: ThreadPoolExecutor) -> None:
        self._jobmap = jobmap
        self._thread = thread

    @classmethod
    async def open(
        cls, path: str | Path, clock: Callable[[], float], usage_of: UsageOf | None = None
    ) -> Self:
        """Open the file in its thread."""
        thread = ThreadPoolExecutor(1, "jobmap")
        jobmap = await asyncio.get_running_loop().run_in_executor(thread, JobMap, path, clock, usage_of)
        return cls(jobmap, thread)

    async def call(
        self,
        method: Callable[Concatenate[JobMap, Arguments], Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Return `method(jobmap, …)`, e.g. `await door.call(JobMap.job, "54112")`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: method(self._jobmap, *arguments, **named))

    async def outbox(
        self,
        method: Callable[Concatenate[Outbox, Arguments], Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Return `method(outbox, …)`, e.g. `await door.outbox(Outbox.delivered, items)`."""
        return await self.call(lambda jobmap: method(jobmap.outbox, *arguments, **named))

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self.call(JobMap.close)
        self._thread.shutdown()
