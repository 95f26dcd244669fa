"""One end of a connection, read and written in big pieces; whoever writes waits until there is room.

A connection to a job comes from an agent that runs as the job's user, who could make it block for everybody
who shares it: each call here says for itself that it does not wait.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from slurm_provider.rpc.handed import close_handed

PIECE_BYTES = 1 << 17
_NO_WAIT = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_TURN_PIECES = 32
"""Pieces after which others get their turn."""
_scratch = memoryview(bytearray(PIECE_BYTES))
"""Where all wires read what is sent on at once: what cannot be sent yet is copied before anybody waits."""


class Broken(Exception):
    """A connection that ended in the middle of something."""


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Wire:
    """A connected socket and what has been read from it and not been used."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.at_end = False

    @property
    def peer(self) -> str:
        """The address of the other end."""
        with suppress(OSError):
            name = self._socket.getpeername()
            if isinstance(name, tuple):
                return str(name[0])
        return ""

    async def fill(self, most: int = PIECE_BYTES) -> bool:
        """Read more into the buffer; return False at the end."""
        data = await self._receive(most)
        self.buffer += data
        return bool(data)

    async def head(self, most: int) -> bytes:
        """Return the bytes up to and including an empty line; b"" at the end before there is any.

        Raises Broken at an end in the middle, and ValueError for more than `most` bytes.
        """
        searched = 0
        while (found := self.buffer.find(b"\r\n\r\n", searched)) < 0:
            searched = max(0, len(self.buffer) - 3)
            if len(self.buffer) > most:
                raise ValueError("too long")
            if not await self.fill(most):
                if self.buffer:
                    raise Broken("the connection ended within a head")
                return b""
        if found + 4 > most:
            raise ValueError("too long")
        return self.take(found + 4)

    def take(self, most: int) -> bytes:
        """Return what is in the buffer, at most so many bytes."""
        data = bytes(self.buffer[:most])
        del self.buffer[:most]
        return data

    async def read(self, most: int = PIECE_BYTES) -> bytes:
        """Return some bytes, those of the buffer first; b"" at the end."""
        return self.take(most) if self.buffer else await self._receive(most)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest := rest[self.send_now(rest) :]:
            await self._wait(self._loop.add_writer, self._loop.remove_writer)

    def send_now(self, data: memoryview) -> int:
        """Send what there is room for; return how many bytes that were."""
        try:
            return self._socket.send(data, _NO_WAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Broken(str(error)) from error

    async def pass_on(self, other: "Wire", length: int | None = None) -> None:
        """Send the next `length` bytes, or all until the end, to another wire; raise Broken for fewer."""
        left = length
        if self.buffer and left != 0:
            data = self.take(len(self.buffer) if left is None else left)
            await other.send(data)
            left = None if left is None else left - len(data)
        if left == 0:
            return
        turns = 0
        while left != 0:
            count = await self._receive_into(_scratch if left is None else _scratch[:left])
            if not count:
                if left is not None:
                    raise Broken("the connection ended within a body")
                return
            sent = other.send_now(_scratch[:count])
            if sent < count:
                await other.send(bytes(_scratch[sent:count]))
            left = None if left is None else left - count
            turns += 1
            if turns % _TURN_PIECES == 0:
                await asyncio.sleep(0)

    async def _receive(self, most: int) -> bytes:
        while not self.at_end:
            try:
                data = self._socket.recv(most, _NO_WAIT)
            except BlockingIOError:
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            except OSError as error:
                self.at_end = True
                raise Broken(str(error)) from error
            else:
                self.at_end = not data
                return data
        return b""

    async def _receive_into(self, piece: memoryview) -> int:
        while not self.at_end:
            try:
                count = self._socket.recv_into(piece, len(piece), _NO_WAIT)
            except BlockingIOError:
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            except OSError as error:
                self.at_end = True
                raise Broken(str(error)) from error
            else:
                self.at_end = not count
                return count
        return 0

    async def _wait(self, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise Broken("the connection is closed")
        ready = self._loop.create_future()
        add(descriptor, _settle, ready)
        try:
            await ready
        finally:
            remove(descriptor)

    @property
    def is_gone(self) -> bool:
        """Whether the other end neither sends nor takes anything any more."""
        watch = select.poll()
        watch.register(self._socket.fileno(), 0)  # the end of both ways is told unasked
        return bool(watch.poll(0))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, not even the end."""
        if self.buffer or self.at_end:
            return False
        try:
            self._socket.recv(1, _NO_WAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def end_writing(self) -> None:
        """Say that no more will be sent."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection."""
        close_handed(self._socket)

    def reset(self) -> None:
        """Close the connection in a way that the other end takes for a failure."""
        close_handed(self._socket, reset=True)
