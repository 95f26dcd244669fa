"""The gateway's own server, beside the one that Core calls."""

import asyncio
import ipaddress
import socket
from collections import Counter

import structlog

from slurm_provider.config.sessions import Web
from slurm_provider.facade.gateway.connection import Connection, Rooms
from slurm_provider.rpc.wire import Wire

log = structlog.get_logger()

GRACE_SECONDS = 3.0
BREATH_SECONDS = 0.1


class Gateway:
    """Listens for browsers."""

    def __init__(self, web: Web, rooms: Rooms) -> None:
        self._web = web
        self._rooms = rooms
        self._listening: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._by_peer: Counter[str] = Counter()

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
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

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
        if not self._has_room(peer):
            browser.reset()
            return
        self._by_peer[peer] += 1
        task = asyncio.create_task(self._serve(browser, peer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _has_room(self, peer: str) -> bool:
        if len(self._connections) >= self._web.connections:
            return False
        return _is_proxy(peer) or self._by_peer[peer] < self._web.connections_per_client

    async def _serve(self, browser: Wire, peer: str) -> None:
        try:
            await Connection(browser, self._rooms).serve()
        except Exception:  # one broken connection must not end the others
            log.exception("a connection of a browser failed", peer=peer)
        finally:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]


def _is_proxy(peer: str) -> bool:
    """Say whether the peer is what stands in front of the gateway on this machine, for many clients."""
    return not peer or ipaddress.ip_address(peer).is_loopback
