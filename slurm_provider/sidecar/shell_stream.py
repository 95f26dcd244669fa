"""Terminals, in a user's agent: each is shown to one stream at a time, and kept for a while without any."""

import asyncio
import select
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from slurm_provider.rpc.v1.shell_pb2 import ShellEnded, ShellInput, ShellOutput, ShellStart, WindowSize
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.framing import finish, read_message, write_message
from slurm_provider.sidecar.own_user import check_user
from slurm_provider.sidecar.shell_places import NoShell, place_of
from slurm_provider.sidecar.terminal import LAST_WORDS_SECONDS, READ_BYTES, Terminal

TERMINAL_TYPE = "xterm-256color"
FAREWELL_SECONDS = 1.0
"""How long a stream may take to be read when its terminal is shown elsewhere, which waits for it."""


@dataclass
class Stream:
    """The viewer at the other end of a stream."""

    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def show(self, data: bytes) -> None:
        """Send what was printed; returns when there is room for more."""
        write_message(self.writer, ShellOutput(data=data))
        await self.writer.drain()

    def end(self, reason: str, *, elsewhere: bool = False) -> None:
        """Send the last message."""
        write_message(self.writer, ShellOutput(ended=ShellEnded(reason=reason, elsewhere=elsewhere)))
        # Whoever reads slowly must not hold up the terminal for its next viewer.
        seconds = FAREWELL_SECONDS if elsewhere else LAST_WORDS_SECONDS
        asyncio.get_running_loop().call_later(seconds, self.writer.transport.abort)
        self.ended.set()


class Terminals:
    """The terminals of this agent's user, by key."""

    def __init__(self) -> None:
        self._terminals: dict[str, Terminal] = {}
        self._starts: dict[str, asyncio.Task[Terminal]] = {}
        self._closing: dict[str, asyncio.Task[None]] = {}

    async def open(self, start: ShellStart, runner: Runner) -> Terminal:
        """Return the terminal of a key, which is started if there is none; raise NoShell."""
        if closing := self._closing.pop(start.key, None):
            closing.cancel()
        terminal = self._terminals.get(start.key)
        if terminal and not terminal.ended:
            return terminal
        starting = self._starts.get(start.key)
        if starting is None:
            starting = self._starts[start.key] = asyncio.create_task(self._start(start, runner))
            starting.add_done_callback(lambda _: self._starts.pop(start.key, None))
        return await asyncio.shield(starting)

    async def _start(self, start: ShellStart, runner: Runner) -> Terminal:
        place = await place_of(start, runner)
        environment = {**runner.environment, "TERM": TERMINAL_TYPE}
        try:
            terminal = Terminal(place.command, environment, place.folder, size_of(start.size))
        except OSError as error:
            raise NoShell(f"the shell cannot be started: {error.strerror}") from error
        self._terminals[start.key] = terminal
        return terminal

    def keep(self, key: str, seconds: float) -> None:
        """End a terminal after a while, unless somebody looks at it again."""
        self._closing[key] = asyncio.create_task(self._close_later(key, seconds))

    async def _close_later(self, key: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._closing.pop(key, None)
        await self.close(key, "Nobody has looked at the terminal for too long.")

    async def close(self, key: str, reason: str) -> None:
        """End a terminal with all that runs in it; one that is not there is ended already."""
        if starting := self._starts.get(key):
            await asyncio.wait({starting})
        if terminal := self._terminals.get(key):
            await terminal.close(reason)
            self.forget(key, terminal)

    def forget(self, key: str, terminal: Terminal) -> None:
        """Drop a terminal that has ended."""
        if self._terminals.get(key) is terminal:
            del self._terminals[key]


_terminals = Terminals()


async def close_shell(key: str) -> None:
    """End the terminal of a key."""
    await _terminals.close(key, "The terminal was closed.")


async def serve_shell(connection: socket.socket, runner: Runner) -> None:
    """Show a terminal to a stream until either has ended."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        await _serve(connection, reader, Stream(writer), runner)
    finally:
        writer.transport.abort()


async def _serve(
    connection: socket.socket, reader: asyncio.StreamReader, stream: Stream, runner: Runner
) -> None:
    message = await read_message(reader, ShellInput)
    if message is None or not message.HasField("start"):
        raise ValueError("a shell's stream must begin with its start")
    start = message.start
    check_user(start.local_user)
    try:
        terminal = await _terminals.open(start, runner)
    except NoShell as error:
        stream.end(f"{error}.".replace("..", "."))
        await finish(stream.writer)
        return
    first = terminal.attach(stream, size_of(start.size))
    for begin in range(0, len(first), READ_BYTES):
        write_message(stream.writer, ShellOutput(data=first[begin : begin + READ_BYTES]))
    try:
        await _first_of(_type(reader, terminal), stream.ended.wait(), _hung_up(connection), terminal.wait())
        if stream.ended.is_set():
            await finish(stream.writer)
    finally:
        stream.writer.transport.abort()
        if terminal.ended:
            _terminals.forget(start.key, terminal)
        elif terminal.detach(stream):
            _terminals.keep(start.key, start.keep_seconds)


async def _type(reader: asyncio.StreamReader, terminal: Terminal) -> None:
    while message := await read_message(reader, ShellInput):
        if message.HasField("resize"):
            terminal.resize(size_of(message.resize))
        else:
            await terminal.type(message.data)


async def _hung_up(connection: socket.socket) -> None:
    """Wait until the other end is gone, also while what it sent last is not read yet."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    with select.epoll() as watch:
        watch.register(connection.fileno(), 0)  # of a hang-up epoll tells unasked
        loop.add_reader(watch.fileno(), gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(watch.fileno())


async def _first_of(*works: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def size_of(size: WindowSize) -> tuple[int, int]:
    """Return columns and rows; those of the first terminals where nothing is said."""
    return size.columns or 80, size.rows or 24
