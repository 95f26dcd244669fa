"""The gateway's own server, beside the one that Core calls."""

import asyncio
import socket

import structlog

from slurm_provider.config.sessions import Web
from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.clients import is_proxy
from slurm_provider.facade.gateway.connection import Connection, Rooms
from slurm_provider.facade.gateway.farewell import turn_away
from slurm_provider.rpc.wire import Wire

log = structlog.get_logger()

GRACE_SECONDS = 3.0
BREATH_SECONDS = 0.1
MOST_FAREWELLS = 64
"""Connections that are told at a time why there is no room for them; further ones are just closed."""


class Gateway:
    """Listens for browsers."""

    def __init__(self, web: Web, rooms: Rooms) -> None:
        self._web = web
        self._rooms = rooms
        self._listening: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        host, _, port = self._web.listen.rpartition(":")
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, place in found:
            listening = socket.create_server(place[:2], family=family, backlog=1024)
            listening.setblocking(False)
            self._listening.append(listening)
            self._accepting.append(asyncio.create_task(self._accept(listening)))

    async def close(self) -> None:
        """Listen no more; what is under way gets a moment to finish."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listening in self._listening:
            listening.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=GRACE_SECONDS)
        under_way = self._connections | self._farewells
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
                self._take(connection)
            except OSError as error:  # out of descriptors, or a browser that has gone already
                log.warning("no connection accepted", reason=str(error))
                await asyncio.sleep(BREATH_SECONDS)

    def _take(self, connection: socket.socket) -> None:
        browser = Wire(connection)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer = browser.peer
        if len(self._connections) >= self._web.connections:
            self._turn_away(browser, pages.full())
            return
        if not is_proxy(peer) and not self._rooms.clients.enter(peer):
            self._turn_away(browser, pages.too_many_of_client())
            return
        task = asyncio.create_task(self._serve(browser, peer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _turn_away(self, browser: Wire, page: pages.Page) -> None:
        if len(self._farewells) >= MOST_FAREWELLS:
            browser.reset()
            return
        task = asyncio.create_task(turn_away(browser, page))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _serve(self, browser: Wire, peer: str) -> None:
        try:
            await Connection(browser, self._rooms).serve()
        except Exception:  # one broken connection must not end the others
            log.exception("a connection of a browser failed", peer=peer)
        finally:
            if not is_proxy(peer):
                self._rooms.clients.leave(peer)
