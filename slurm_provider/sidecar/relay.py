"""The sidecar's end of the relay: hands out connections to jobs against their tickets."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import structlog

from slurm_provider.config import Sidecar
from slurm_provider.rpc.handed import close_handed
from slurm_provider.rpc.relay import (
    TICKET_BYTES,
    host_and_port,
    relay,
    tls_context,
    unix_relay,
)
from slurm_provider.rpc.wire import PIECE_BYTES, Wire
from slurm_provider.sidecar.tickets import Tickets

log = structlog.get_logger()

TICKET_TIMEOUT_SECONDS = 5.0
BREATH_SECONDS = 0.1
HERE = b"+"
"""What comes with the connection."""


class Relay:
    """Listens beside the sidecar's own address."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self, config: Sidecar) -> None:
        """Listen, unless the configuration gives no place to."""
        path = unix_relay(config.listen)
        if path is not None:
            self._accepting = asyncio.create_task(self._accept(_listen_at(Path(path))))
        elif config.relay and config.tls:
            host, port = host_and_port(config.relay)
            context = tls_context(ssl.Purpose.CLIENT_AUTH, config.tls)
            self._server = await asyncio.start_server(
                self._serve_tls, host, port, ssl=context, limit=PIECE_BYTES
            )

    async def close(self) -> None:
        """Listen no more, and cut what goes through here."""
        if self._server:
            self._server.close()
        tasks = [*self._under_way, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tickets.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError as error:  # out of descriptors
                    log.warning("no connection accepted at the relay", reason=str(error))
                    await asyncio.sleep(BREATH_SECONDS)
                    continue
                self._keep(asyncio.create_task(self._serve_unix(connection)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _serve_unix(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, TimeoutError):
            async with asyncio.timeout(TICKET_TIMEOUT_SECONDS):
                ticket = await asyncio.get_running_loop().sock_recv(connection, TICKET_BYTES)
            if tunnel := self._tickets.redeem(ticket):
                try:
                    socket.send_fds(connection, [HERE], [tunnel.fileno()])
                finally:
                    close_handed(tunnel)

    async def _serve_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._keep(task)
        try:
            async with asyncio.timeout(TICKET_TIMEOUT_SECONDS):
                tunnel = self._tickets.redeem(await reader.readexactly(TICKET_BYTES))
            if tunnel is not None:
                writer.write(HERE)
                await relay(Wire(tunnel), (reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.info("relay not used", reason=str(error))
        finally:
            writer.close()


def _listen_at(path: Path) -> socket.socket:
    """Listen beside the sidecar's socket, in its folder, which is closed to others."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o660)
    listening.listen(1024)
    listening.setblocking(False)
    return listening
