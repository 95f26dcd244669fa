"""Tunnels, in a user's agent: a connection to what the user's own job listens with, and to nothing else."""

import asyncio
import os
import re
import socket
from dataclasses import dataclass

from slurm_provider.rpc.v1.agent_pb2 import AgentTunnelResponse
from slurm_provider.rpc.v1.tunnel_pb2 import OpenTunnelRequest
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.descriptors import frame, receive_with, send_with
from slurm_provider.sidecar.listeners import Listener, Probes
from slurm_provider.sidecar.own_user import check_user
from slurm_provider.sidecar.replica_files import FileRefused, read_replica_file
from slurm_provider.sidecar.replicas import NotRunning, Replicas
from slurm_provider.slurm.command import SlurmUnavailable

CONNECT_TIMEOUT_SECONDS = 5.0
_PORT = re.compile(r"\s*([0-9]{1,5})\s*")


class NotReady(Exception):
    """Nothing listens there yet."""


class Forbidden(Exception):
    """What listens there is not the job's own."""


@dataclass
class Tunnels:
    """What the agent's tunnels share."""

    replicas: Replicas
    probes: Probes

    async def serve(self, connection: socket.socket, runner: Runner) -> None:
        """Answer one request, with a connected socket or in words why there is none."""
        data, _ = await receive_with(connection)
        request = OpenTunnelRequest.FromString(data[4:])
        answer = AgentTunnelResponse()
        tunnel: socket.socket | None = None
        check_user(request.local_user)
        try:
            tunnel = await self._open(request, runner)
        except NotRunning as error:
            answer.not_running = str(error)
        except NotReady as error:
            answer.not_ready = str(error)
        except (Forbidden, FileRefused) as error:
            answer.forbidden = str(error)
        except SlurmUnavailable as error:
            answer.unavailable = str(error)
        try:
            await send_with(connection, frame(answer), tunnel.fileno() if tunnel else None)
        finally:
            if tunnel:
                tunnel.close()

    async def _open(self, request: OpenTunnelRequest, runner: Runner) -> socket.socket:
        replica = await self.replicas.find(request.slurm_id, request.rank, runner)
        port = await asyncio.to_thread(_port_of, request)
        probe = self.probes.at(request.slurm_id, replica.node, runner)
        try:
            check(port, os.getuid(), listening := await probe.look())
        except (NotReady, Forbidden):
            # It may have changed since the last look.
            check(port, os.getuid(), listening := await probe.look(fresh=True))
        try:
            return await _connect(replica.address, port)
        except NotReady as error:
            if all(listener.is_local for listener in listening if listener.port == port):
                raise NotReady(
                    f"the application listens on port {port} for its own node only; it has to listen on all"
                    " addresses (0.0.0.0)"
                ) from error
            raise


def check(port: int, uid: int, listening: list[Listener]) -> None:
    """Raise NotReady or Forbidden unless the user's own processes, and nobody else's, listen on a port."""
    found = [listener for listener in listening if listener.port == port]
    if not found:
        raise NotReady(f"nothing listens on port {port} of the job's node yet")
    if any(listener.uid != uid for listener in found):
        raise Forbidden(f"port {port} of the job's node belongs to another user")


def _port_of(request: OpenTunnelRequest) -> int:
    if request.WhichOneof("where") == "port":
        return _valid(request.port)
    text = read_replica_file(request.folder, request.control_folder, request.rank, request.port_file)
    if not text.strip():
        raise NotReady("the application has not chosen its port yet")
    found = _PORT.fullmatch(text)
    if found is None:
        raise Forbidden(f"the job's file {request.port_file} holds no port")
    return _valid(int(found[1]))


def _valid(port: int) -> int:
    if not 0 < port < 65536:
        raise Forbidden(f"{port} is no port")
    return port


async def _connect(address: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            for family, kind, protocol, _, place in await loop.getaddrinfo(
                address, port, type=socket.SOCK_STREAM
            ):
                tunnel = socket.socket(family, kind, protocol)
                tunnel.setblocking(False)
                tunnel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                try:
                    await loop.sock_connect(tunnel, place)
                except BaseException:
                    tunnel.close()
                    raise
                tunnel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return tunnel
    except (OSError, TimeoutError) as error:
        raise NotReady(f"port {port} of the job's node does not answer yet: {error or 'time-out'}") from error
    raise NotReady(f"the job's node has no address: {address}")


_tunnels = Tunnels(Replicas(), Probes())
serve_tunnel = _tunnels.serve
