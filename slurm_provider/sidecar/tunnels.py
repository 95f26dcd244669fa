"""Connections to what users' jobs listen with: made in the user's agent, fetched at the relay."""

import asyncio
import socket
from typing import Any, NoReturn

import grpc

from slurm_provider.rpc.endpoints import REQUEST_ID
from slurm_provider.rpc.handed import close_handed, handed_connection
from slurm_provider.rpc.v1 import tunnel_pb2, tunnel_pb2_grpc
from slurm_provider.rpc.v1.agent_pb2 import (
    AgentRequest,
    AgentStreamKind,
    AgentStreamRequest,
    AgentTunnelResponse,
)
from slurm_provider.sidecar.agents import AgentGone, AgentRefused, Agents, SpawnerGone
from slurm_provider.sidecar.descriptors import frame, receive_with, send_with
from slurm_provider.sidecar.tickets import Tickets, TooManyTickets

Context = grpc.aio.ServicerContext[Any, Any]
OPEN_TIMEOUT_SECONDS = 40.0
_CODES = {
    "not_running": grpc.StatusCode.NOT_FOUND,
    "not_ready": grpc.StatusCode.FAILED_PRECONDITION,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


class TunnelService(tunnel_pb2_grpc.TunnelServiceServicer):
    """Opens tunnels, and reads the small files that say where they lead."""

    def __init__(self, agents: Agents, tickets: Tickets) -> None:
        self._agents = agents
        self._tickets = tickets

    async def Open(  # noqa: N802 - the contract's name
        self, request: tunnel_pb2.OpenTunnelRequest, context: Context
    ) -> tunnel_pb2.OpenTunnelResponse:
        """Open one connection; return the ticket against which the relay hands it out."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
                answer, tunnel = await self._ask(request, context)
        except (AgentRefused, AgentGone, SpawnerGone, OSError) as error:
            await _abort(context, error)
        if refusal := answer.WhichOneof("refusal"):
            await context.abort(_CODES[refusal], getattr(answer, refusal))
        if tunnel is None:
            await context.abort(grpc.StatusCode.INTERNAL, "the user's agent opened no connection")
        try:
            return tunnel_pb2.OpenTunnelResponse(ticket=self._tickets.add(tunnel))
        except TooManyTickets:
            close_handed(tunnel)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many connections at a time")

    async def _ask(
        self, request: tunnel_pb2.OpenTunnelRequest, context: Context
    ) -> tuple[AgentTunnelResponse, socket.socket | None]:
        kind = AgentStreamKind.AGENT_STREAM_KIND_TUNNEL
        opening = AgentStreamRequest(request_id=_request_id(context), kind=kind)
        async with self._agents.stream(request.local_user, opening) as stream:
            await send_with(stream, frame(request), None)
            data, descriptor = await receive_with(stream)
        tunnel = None if descriptor is None else handed_connection(descriptor)
        if len(data) < 4:
            raise AgentGone("the user's agent ended before it answered")
        return AgentTunnelResponse.FromString(data[4:]), tunnel

    async def ReadReplicaFile(  # noqa: N802 - the contract's name
        self, request: tunnel_pb2.ReadReplicaFileRequest, context: Context
    ) -> tunnel_pb2.ReadReplicaFileResponse:
        """Return what a replica has written into one of its small files."""
        call = AgentRequest(request_id=_request_id(context), read_replica_file=request)
        try:
            response = await self._agents.call(request.local_user, call)
        except (AgentRefused, AgentGone, SpawnerGone) as error:
            await _abort(context, error)
        if response.failure:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, response.failure)
        return response.read_replica_file


async def _abort(context: Context, error: Exception) -> NoReturn:
    refused = isinstance(error, AgentRefused)
    code = grpc.StatusCode.PERMISSION_DENIED if refused else grpc.StatusCode.UNAVAILABLE
    await context.abort(code, str(error) or "the job's node did not answer in time")


def _request_id(context: Context) -> str:
    return str(dict(context.invocation_metadata() or ()).get(REQUEST_ID, ""))
