"""The façade's end of tunnels: connections to what jobs listen with."""

import asyncio
import socket
import ssl
from dataclasses import dataclass

import grpc
import grpc.aio

from slurm_provider.config.sections import Cluster as ClusterSection
from slurm_provider.rpc.errors import ClusterUnavailable, unavailable
from slurm_provider.rpc.handed import close_handed, handed_connection
from slurm_provider.rpc.relay import (
    Pieces,
    host_and_port,
    relay,
    tls_context,
    unix_relay,
)
from slurm_provider.rpc.request_id import metadata
from slurm_provider.rpc.v1.tunnel_pb2 import OpenTunnelRequest, ReadReplicaFileRequest
from slurm_provider.rpc.v1.tunnel_pb2_grpc import TunnelServiceStub
from slurm_provider.rpc.wire import PIECE_BYTES, Wire

OPEN_TIMEOUT_SECONDS = 45.0
FETCH_TIMEOUT_SECONDS = 5.0


class TunnelRefused(Exception):
    """Why there is no connection, in words for the user."""


class NotRunning(TunnelRefused):
    """The job does not run just now."""


class NotReady(TunnelRefused):
    """Nothing listens there yet."""


_REFUSALS = {
    grpc.StatusCode.NOT_FOUND: NotRunning,
    grpc.StatusCode.FAILED_PRECONDITION: NotReady,
    grpc.StatusCode.PERMISSION_DENIED: TunnelRefused,
}


@dataclass(frozen=True)
class ReplicaOf:
    """A rank of a job, as the sidecar needs to know it."""

    local_user: str
    slurm_id: int
    rank: int
    folder: str
    control_folder: str


class Tunnels:
    """The tunnels of one cluster."""

    def __init__(self, config: ClusterSection, channel: grpc.aio.Channel) -> None:
        self._stub = TunnelServiceStub(channel)
        self._path = unix_relay(config.sidecar)
        self._relay = host_and_port(config.relay) if config.relay else None
        self._tls = tls_context(ssl.Purpose.SERVER_AUTH, config.tls) if config.tls and config.relay else None
        self._relaying: set[asyncio.Task[None]] = set()

    @property
    def possible(self) -> bool:
        """Whether the site's configuration says where the sidecar hands connections out."""
        return bool(self._path or self._relay)

    async def open(self, replica: ReplicaOf, port: int | str) -> socket.socket:
        """Return a connection to a port of a replica's node, or to the port that its file of that name says.

        Raises TunnelRefused (NotRunning, NotReady) or ClusterUnavailable.
        """
        request = OpenTunnelRequest(
            local_user=replica.local_user,
            slurm_id=replica.slurm_id,
            rank=replica.rank,
            folder=replica.folder,
            control_folder=replica.control_folder,
        )
        if isinstance(port, int):
            request.port = port
        else:
            request.port_file = port
        try:
            answer = await self._stub.Open(request, timeout=OPEN_TIMEOUT_SECONDS, metadata=metadata())
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from error
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                return await self._fetch(answer.ticket)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise ClusterUnavailable(f"the sidecar's relay hands no connection out: {error}") from error

    async def read(self, replica: ReplicaOf, name: str) -> str:
        """Return the text of one of a replica's small files; "" when there is none."""
        request = ReadReplicaFileRequest(
            local_user=replica.local_user,
            folder=replica.folder,
            control_folder=replica.control_folder,
            rank=replica.rank,
            name=name,
        )
        try:
            answer = await self._stub.ReadReplicaFile(
                request, timeout=OPEN_TIMEOUT_SECONDS, metadata=metadata()
            )
            return answer.text
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from error

    async def _fetch(self, ticket: bytes) -> socket.socket:
        if self._path:
            return await _fetch_socket(self._path, ticket)
        if self._relay is None:
            raise ClusterUnavailable("clusters.NAME.relay is not configured")
        host, port = self._relay
        pieces = await asyncio.open_connection(host, port, ssl=self._tls, limit=PIECE_BYTES)
        try:
            pieces[1].write(ticket)
            await pieces[0].readexactly(1)
        except BaseException:
            pieces[1].close()
            raise
        return self._beside(pieces)

    def _beside(self, pieces: Pieces) -> socket.socket:
        """Return a socket whose other end is relayed, so that all tunnels look alike."""
        ours, theirs = socket.socketpair()
        task = asyncio.create_task(relay(Wire(theirs), pieces))
        self._relaying.add(task)
        task.add_done_callback(self._relaying.discard)
        ours.setblocking(False)
        return ours

    async def close(self) -> None:
        """Cut what is relayed."""
        for task in self._relaying:
            task.cancel()
        await asyncio.gather(*self._relaying, return_exceptions=True)


async def _fetch_socket(path: str, ticket: bytes) -> socket.socket:
    loop = asyncio.get_running_loop()
    relay_socket = socket.socket(socket.AF_UNIX)
    try:
        relay_socket.setblocking(False)
        await loop.sock_connect(relay_socket, path)
        await loop.sock_sendall(relay_socket, ticket)
        readable = asyncio.Event()
        loop.add_reader(relay_socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(relay_socket)
        _, descriptors, _, _ = socket.recv_fds(relay_socket, 1, 1)
    finally:
        close_handed(relay_socket)  # with what may have come after its caller went away
    if not descriptors:
        raise OSError("the ticket is not good")
    if (connection := handed_connection(descriptors[0])) is None:
        raise OSError("what came for the ticket is no connection")
    return connection


def _refused(error: grpc.aio.AioRpcError) -> Exception:
    kind = _REFUSALS.get(error.code())
    return kind(error.details() or error.code().name) if kind else unavailable(error)
