"""Many terminals at once, each with somebody who types and looks whether it appears."""

import asyncio
import fcntl
import itertools
import os
import pty
import random
import struct
import termios
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.support.processes import as_user
from tests.support.shells import Shell, session_with, terminal
from tests.support.stack import Stack

_keys = itertools.count(100_000)


class Typist:
    """Types in a terminal; `delays` are the seconds from each key to its appearance."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.delays: list[float] = []

    async def ready(self) -> None:
        """Start a program that reads: what is typed is shown by the terminal on the job's node."""
        await self.shell.run("PS1=; stty -icanon; echo ready; cat >/dev/null", "ready\r\n")

    async def press(self) -> None:
        """Type a text that was never typed before, and wait until it appears."""
        text = f"{next(_keys)}."
        begun = time.monotonic()
        await self.shell.type(text)
        await self.shell.sees(text)
        self.delays.append(time.monotonic() - begun)
        self.shell.seen = ""

    async def go_on(self, seconds: float, pause: float) -> None:
        """Type every `pause` seconds for a while."""
        end = time.monotonic() + seconds
        await asyncio.sleep(random.uniform(0, pause))  # as people are, not all at once
        while (now := time.monotonic()) < end:
            await self.press()
            await asyncio.sleep(max(0, now + pause - time.monotonic()))


@asynccontextmanager
async def typists(
    stack: Stack, jobs: Sequence[Any], number: int, at_once: int = 4
) -> AsyncIterator[list[Typist]]:
    """Open terminals in jobs, in turn, a few at a time."""
    gate = asyncio.Semaphore(at_once)
    async with AsyncExitStack() as shells:

        async def opened(index: int) -> Typist:
            made = jobs[index % len(jobs)]
            async with gate:
                session = await session_with(stack, made, user=made["owner"]["createdBy"])
                typist = Typist(await shells.enter_async_context(terminal(stack, session)))
                await typist.ready()
            return typist

        yield list(await asyncio.gather(*(opened(index) for index in range(number))))


class BarePty:
    """A command on a terminal of this process, for comparison."""

    def __init__(self, user: str, *command: str) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            words = as_user(user, *command)
            os.execvp(words[0], words)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._master, text.encode())

    def until(self, text: str) -> None:
        """Wait until a text appears."""
        seen = b""
        while text.encode() not in seen:
            seen += os.read(self._master, 65536)

    def delays(self, number: int, pause: float) -> list[float]:
        """Type some texts, and return how long each took to appear."""
        found = []
        for _ in range(number):
            text = f"{next(_keys)}."
            begun = time.monotonic()
            self.type(text)
            self.until(text)
            found.append(time.monotonic() - begun)
            time.sleep(pause)
        return found

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)
        os.waitpid(self.pid, 0)
