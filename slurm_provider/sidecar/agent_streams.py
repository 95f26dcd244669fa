"""An agent's streams: what goes on for longer than a call, each on a socket of its own."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from slurm_provider.rpc.v1.agent_pb2 import AgentStreamKind, AgentStreamRequest
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.log_stream import serve_logs
from slurm_provider.sidecar.shell_stream import serve_shell
from slurm_provider.sidecar.tunnel_stream import serve_tunnel

PACKET_BYTES = 4096

Handler = Callable[[socket.socket, Runner], Awaitable[None]]
"""Serves one stream on its socket, which does not block, until either end has had enough."""

HANDLERS: Mapping["AgentStreamKind.ValueType", Handler] = {
    AgentStreamKind.AGENT_STREAM_KIND_TUNNEL: serve_tunnel,
    AgentStreamKind.AGENT_STREAM_KIND_LOGS: serve_logs,
    AgentStreamKind.AGENT_STREAM_KIND_SHELL: serve_shell,
}


async def serve_streams(door: socket.socket, runner: Runner) -> None:
    """Serve every stream that the sidecar opens, until it closes the door; a broken one ends alone."""
    async with asyncio.TaskGroup() as streams:
        async for kind, connection in _opened(door):
            streams.create_task(_serve(kind, connection, runner))


async def _serve(kind: "AgentStreamKind.ValueType", connection: socket.socket, runner: Runner) -> None:
    with connection:
        try:
            await HANDLERS[kind](connection, runner)
        except Exception as error:  # one broken stream must not end the user's others
            print(f"agent: a stream has ended: {type(error).__name__}: {error}", file=sys.stderr)


async def _opened(
    door: socket.socket,
) -> AsyncIterator[tuple["AgentStreamKind.ValueType", socket.socket]]:
    door.setblocking(False)
    while packet := await _packet(door):
        data, connection = packet
        connection.setblocking(False)
        yield AgentStreamRequest.FromString(data).kind, connection


async def _packet(door: socket.socket) -> tuple[bytes, socket.socket] | None:
    """Return the next packet and the socket in it, or None at the end."""
    loop = asyncio.get_running_loop()
    while True:
        readable = asyncio.Event()
        loop.add_reader(door, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(door)
        try:
            data, descriptors, _, _ = socket.recv_fds(door, PACKET_BYTES, 1)
        except BlockingIOError:
            continue
        if descriptors:
            return data, socket.socket(fileno=descriptors[0])
        if not data:
            return None
        # There was no room for another descriptor: it is closed, which the sidecar sees.
