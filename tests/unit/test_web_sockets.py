"""WebSockets of desktops and terminals: a lost end ends the other, and not everybody is waited for."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, serve

from slurm_provider.facade.desktops import _through_websockify
from slurm_provider.facade.newcomers import MOST_NEWCOMERS, Newcomers, TooManyNewcomers
from slurm_provider.rpc.wire import Broken, Wire
from tests.unit.running_facade import Facade


class Browser:
    """A browser that says nothing and listens to all."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._messages.put_nowait({"type": "websocket.connect"})

    async def visit(self, facade: Facade, path: str) -> None:
        """Have the façade serve a WebSocket to its end."""
        scope = {"type": "websocket", "path": f"/ucloud/example/{path}", "query_string": b"", "headers": [],
                 "subprotocols": []}  # fmt: skip
        await facade.app(scope, self._messages.get, self.heard.put)

    async def accepted(self) -> WebSocket:
        websocket = WebSocket({"type": "websocket"}, self._messages.get, self.heard.put)
        await websocket.accept()
        await self.heard.get()
        return websocket


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Wire, Wire]]:
    """The wire to a desktop, and its other end."""
    ours, theirs = socket.socketpair()
    both = Wire(ours), Wire(theirs)
    yield both
    for wire in both:
        wire.close()


async def test_a_websockify_that_redirects_is_a_desktop_that_is_lost(ends: tuple[Wire, Wire]) -> None:
    desktop, websockify = ends
    showing = asyncio.create_task(_through_websockify(await Browser().accepted(), desktop))
    async with asyncio.timeout(20):
        assert (await websockify.head(1 << 16)).startswith(b"GET /websockify ")
        await websockify.send(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(Broken, match="does not open its WebSocket"):
            await showing


async def test_a_desktop_whose_wire_breaks_ends_at_once(ends: tuple[Wire, Wire]) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send(b"RFB 003.008\n")
        with suppress(Exception):
            await connection.wait_closed()

    browser = Browser()
    async with serve(greet, "127.0.0.1", 0, subprotocols=["binary"]) as server:  # type: ignore[list-item]
        connected = socket.create_connection(server.sockets[0].getsockname()[:2])
        desktop = Wire(connected)
        showing = asyncio.create_task(_through_websockify(await browser.accepted(), desktop))
        async with asyncio.timeout(20):
            assert (await browser.heard.get())["bytes"] == b"RFB 003.008\n"
            for connection in server.connections:
                broken = connection.transport.get_extra_info("socket")
                broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.abort()
            with suppress(Broken):
                await showing
        desktop.close()


def test_only_so_many_connections_may_have_shown_nothing() -> None:
    newcomers = Newcomers(1)
    with newcomers.one(), pytest.raises(TooManyNewcomers), newcomers.one():
        pass
    with newcomers.one():
        pass


@pytest.mark.parametrize(("path", "code"), [("websocket", 1008), ("vnc", 1013)])
async def test_a_connection_for_which_there_is_no_room_is_refused_in_words(
    facade: Facade, path: str, code: int
) -> None:
    browser = Browser()
    with ExitStack() as others:
        for _ in range(MOST_NEWCOMERS):
            others.enter_context(facade.services.newcomers.one())
        async with asyncio.timeout(20):
            await browser.visit(facade, path)
    heard = [browser.heard.get_nowait() for _ in range(browser.heard.qsize())]
    assert heard[-1]["code"] == code
    assert "too many connections have not said yet" in str(heard)
