"""A terminal (pty) with a program in it, which lives on when nobody looks at it."""

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from slurm_provider.sidecar.recent_output import RecentOutput

RECENT_BYTES = 256 * 1024
READ_BYTES = 64 * 1024
HANG_UP_SECONDS = 5.0
"""How long the program may take to end by itself when its terminal is hung up."""
FIRST_LOOK_SECONDS = 0.05
LAST_LOOK_SECONDS = 1.0
"""How often is looked whether it has: all of a node's processes are gone through."""
LAST_WORDS_SECONDS = 60.0
"""How long a slow viewer may take to see what an ended program has printed."""
REDRAW_SECONDS = 0.2
LARGEST_SIDE = 1000


class Viewer(Protocol):
    """Who looks at a terminal. There is one at a time."""

    async def show(self, data: bytes) -> None:
        """Show what was printed; returns when there is room for more, raises ConnectionError when gone."""
        ...

    def end(self, reason: str, *, elsewhere: bool = False) -> None:
        """Say that there is no more to see: the program has ended, or is shown elsewhere now."""
        ...


class Terminal:
    """A program on a pty of its own. What it started goes with it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: str, size: tuple[int, int]
    ) -> None:
        """Start a command; `size` is columns and rows. Raises OSError."""
        self._master, slave = os.openpty()
        try:
            os.set_blocking(self._master, False)
            self._set_size(size)
            # It is the first process of a session of its own, whose number is its process id.
            self._process = subprocess.Popen(
                ["setsid", "--ctty", "--", *command],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=environment,
                cwd=folder,
            )
        except OSError:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._size = size
        self._recent = RecentOutput(RECENT_BYTES)
        self._viewer: Viewer | None = None
        self._reason = ""
        self._redrawing: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self._typing: set[asyncio.Task[None]] = set()
        self._life = asyncio.create_task(self._live())

    @property
    def ended(self) -> bool:
        """Whether the program has ended, with all that it started."""
        return self._life.done()

    @property
    def watched(self) -> bool:
        """Whether anybody looks at it."""
        return self._viewer is not None

    def attach(self, viewer: Viewer, size: tuple[int, int]) -> bytes:
        """Show the terminal to a viewer, and to no other any more; return what is to be shown first."""
        seen_before = self._viewer is not None or len(self._recent) > 0
        if self._viewer:
            self._viewer.end("The terminal has been opened elsewhere.", elsewhere=True)
        self._viewer = viewer
        if not seen_before:
            self.resize(size)
            return b""
        if self._recent.full_screen and size == self._size:
            # A program draws its screen again when the window's size changes.
            self.resize((size[0], max(1, size[1] - 1)))
            self._redrawing = asyncio.get_running_loop().call_later(REDRAW_SECONDS, self.resize, size)
        else:
            self.resize(size)
        return self._recent.replay()

    def detach(self, viewer: Viewer) -> bool:
        """Go on unseen; return False when it is another viewer that looks at it."""
        if self._viewer is not viewer:
            return False
        self._viewer = None
        return True

    async def type(self, data: bytes) -> None:
        """Hand over what was typed; returns when the program, or its terminal, has taken all of it."""
        typing = asyncio.create_task(self._type(data))
        self._typing.add(typing)
        try:
            await asyncio.wait({typing})
        finally:
            typing.cancel()
            self._typing.discard(typing)

    async def _type(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._master >= 0:
            try:
                rest = rest[os.write(self._master, rest) :]
            except BlockingIOError:
                await _possible(self._master, write=True)
            except OSError:  # nobody reads any more
                return

    def resize(self, size: tuple[int, int]) -> None:
        """Tell the program how large its window is, as soon as it has printed anything.

        srun that hears of it while it still starts a step never hears of it again (22.05: "pty: accept
        failure: Interrupted system call").
        """
        if self._redrawing:
            self._redrawing.cancel()
            self._redrawing = None
        self._size = size
        if self._master >= 0 and len(self._recent):
            self._set_size(size)

    async def close(self, reason: str) -> None:
        """End the program and all that it started in its session; returns when that is done."""
        self._reason = self._reason or reason
        self._closing.set()
        await self.wait()

    async def wait(self) -> None:
        """Wait until the program has ended."""
        await asyncio.wait({self._life})

    def _set_size(self, size: tuple[int, int]) -> None:
        columns, rows = (min(max(side, 1), LARGEST_SIDE) for side in size)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def _live(self) -> None:
        printing = asyncio.create_task(self._print())
        ends = {asyncio.create_task(_exit(self._process)), asyncio.create_task(self._closing.wait())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await _end_session(self._process)
        # With the last process the terminal has an end, too.
        last_words = 1.0 if self._closing.is_set() else LAST_WORDS_SECONDS
        await asyncio.wait({printing}, timeout=last_words)
        tasks = [printing, *ends, *self._typing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.resize(self._size)  # no redrawing any more
        os.close(self._master)
        self._master = -1
        if self._viewer:
            self._viewer.end(self._reason or _how(self._process.returncode))
            self._viewer = None

    async def _print(self) -> None:
        """Show what is printed. A viewer that is slow holds the program up; nothing of it is lost."""
        while data := await self._read():
            first = not len(self._recent)
            self._recent.add(data)
            if first:
                self._set_size(self._size)
            viewer = self._viewer
            if viewer:
                try:
                    await viewer.show(data)
                except ConnectionError:
                    self.detach(viewer)

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._master, READ_BYTES)
            except BlockingIOError:
                await _possible(self._master)
            except OSError:  # nobody has the terminal open any more
                return b""


async def _possible(descriptor: int, *, write: bool = False) -> None:
    """Wait until a descriptor can be read, or written to."""
    loop = asyncio.get_running_loop()
    add: Callable[..., None] = loop.add_writer if write else loop.add_reader
    possible = asyncio.Event()
    add(descriptor, possible.set)
    try:
        await possible.wait()
    finally:
        (loop.remove_writer if write else loop.remove_reader)(descriptor)


async def _exit(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended, and reap it."""
    descriptor = os.pidfd_open(process.pid)
    try:
        await _possible(descriptor)
    finally:
        os.close(descriptor)
    process.wait()


async def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Hang up on all processes of a session, and after a while kill what is left of them."""
    deadline = asyncio.get_running_loop().time() + HANG_UP_SECONDS
    pause = FIRST_LOOK_SECONDS
    _signal_session(process.pid, signal.SIGHUP, signal.SIGCONT)
    while process.poll() is None or _members(process.pid):
        if asyncio.get_running_loop().time() > deadline:
            _signal_session(process.pid, signal.SIGKILL)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_LOOK_SECONDS)


def _signal_session(session: int, *numbers: signal.Signals) -> None:
    for pid in _members(session):
        for number in numbers:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _members(session: int) -> list[int]:
    """Return the processes of a session that are alive and this user's."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if folder.stat().st_uid == os.getuid():
                # proc(5): the name, in brackets, may hold anything; behind it state, parent, group, session
                state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(number) == session and state not in "ZX":
                    members.append(int(folder.name))
    return members


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"The shell was ended by {signal.Signals(-returncode).name}."
    return "The shell has ended." if not returncode else f"The shell has ended with exit code {returncode}."
