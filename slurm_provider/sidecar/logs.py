"""The gRPC service that shows what jobs print: each job's files are read by its user's own agent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from slurm_provider.rpc.endpoints import REQUEST_ID
from slurm_provider.rpc.v1 import logs_pb2_grpc
from slurm_provider.rpc.v1.agent_pb2 import AgentStreamKind, AgentStreamRequest
from slurm_provider.rpc.v1.logs_pb2 import FollowRequest, LogChunk, LogSource
from slurm_provider.sidecar.agents import AgentGone, AgentRefused, Agents, SpawnerGone
from slurm_provider.sidecar.framing import STREAM_LIMIT, read_message, write_message
from slurm_provider.sidecar.log_file import CHUNK_BYTES

_SOURCES = (LogSource.LOG_SOURCE_STDOUT, LogSource.LOG_SOURCE_STDERR)

Context = grpc.aio.ServicerContext[Any, Any]


class LogService(logs_pb2_grpc.LogServiceServicer):
    """Hands on between the façade and agents; how fast is decided by who takes the chunks."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def Follow(  # noqa: N802 - the contract's name
        self, requests: AsyncIterator[FollowRequest], context: Context
    ) -> AsyncIterator[LogChunk]:
        """Stream what a job's files hold and what is written to them."""
        start = await anext(aiter(requests), None)
        if start is None or not start.HasField("start"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request must name the files")
        request_id = str(dict(context.invocation_metadata() or ()).get(REQUEST_ID, ""))
        call = AgentStreamRequest(request_id=request_id, kind=AgentStreamKind.AGENT_STREAM_KIND_LOGS)
        try:
            async with self._agents.stream(start.start.local_user, call) as connection:
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                try:
                    write_message(writer, start)
                    async for chunk in _chunks(requests, reader, writer):
                        check(chunk, start.start.replicas)
                        yield chunk
                finally:
                    writer.transport.abort()
        except AgentRefused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except (DecodeError, ValueError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the user's agent is not understood: {error}")
        except (AgentGone, SpawnerGone, OSError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def check(chunk: LogChunk, replicas: int) -> None:
    """Raise ValueError for what is no chunk of such a job: whose agent it is can make it say anything."""
    if chunk.at_end:
        return
    if chunk.rank >= replicas or chunk.source not in _SOURCES or len(chunk.data) > CHUNK_BYTES:
        raise ValueError("it sends what is no part of the job's output")


async def _chunks(
    requests: AsyncIterator[FollowRequest], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[LogChunk]:
    """Give what the agent sends, up to the last one; raise AgentGone when it stops before."""
    handing_on = asyncio.create_task(_hand_on(requests, writer))
    try:
        while chunk := await read_message(reader, LogChunk, STREAM_LIMIT):
            yield chunk
            if chunk.at_end:
                return
        raise AgentGone("the user's agent has ended")
    finally:
        handing_on.cancel()
        await asyncio.gather(handing_on, return_exceptions=True)


async def _hand_on(requests: AsyncIterator[FollowRequest], writer: asyncio.StreamWriter) -> None:
    async for request in requests:
        write_message(writer, request)
        await writer.drain()
