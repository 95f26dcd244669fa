"""The gRPC service of terminals: their bytes pass between the façade and each user's own agent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from slurm_provider.rpc.endpoints import REQUEST_ID
from slurm_provider.rpc.v1 import shell_pb2, shell_pb2_grpc
from slurm_provider.rpc.v1.agent_pb2 import AgentRequest, AgentStreamKind, AgentStreamRequest
from slurm_provider.rpc.v1.shell_pb2 import ShellInput, ShellOutput
from slurm_provider.sidecar.agents import AgentGone, AgentRefused, Agents, SpawnerGone
from slurm_provider.sidecar.framing import STREAM_LIMIT, read_message, write_message

log = structlog.get_logger()

MOST_WORDS = 500
"""Letters of the reason why a shell has ended."""

Context = grpc.aio.ServicerContext[Any, Any]


class ShellService(shell_pb2_grpc.ShellServiceServicer):
    """Terminals, each in the agent of the local user that it belongs to."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def Attach(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[ShellInput], context: Context
    ) -> AsyncIterator[ShellOutput]:
        """Show a terminal, and type into it. A refused user is told so as a shell that has ended."""
        first = await anext(request_iterator, ShellInput())
        if not first.HasField("start"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a shell begins with its start")
        start = first.start
        facts = {"local_user": start.local_user, "request_id": _request_id(context)}
        request = AgentStreamRequest(
            request_id=facts["request_id"], kind=AgentStreamKind.AGENT_STREAM_KIND_SHELL
        )
        log.info("shell attached", slurm_id=start.replica.slurm_id, rank=start.replica.rank, **facts)
        try:
            async with self._agents.stream(start.local_user, request, start.keep_seconds) as connection:
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                write_message(writer, first)
                typing = asyncio.create_task(_type(request_iterator, writer))
                try:
                    while output := await read_message(reader, ShellOutput, STREAM_LIMIT):
                        if output.HasField("ended"):
                            output.ended.reason = plain(output.ended.reason)
                            log.info("shell ended", reason=output.ended.reason, **facts)
                            yield output
                            return
                        yield output
                finally:
                    typing.cancel()
                    await asyncio.gather(typing, return_exceptions=True)
                    writer.transport.abort()
        except AgentRefused as error:
            yield ShellOutput(ended=shell_pb2.ShellEnded(reason=str(error)))
            return
        except (DecodeError, ValueError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the user's agent is not understood: {error}")
        except (AgentGone, SpawnerGone) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the user's agent has ended")

    async def Close(  # noqa: N802 - the contract's name
        self, request: shell_pb2.CloseShellRequest, context: Context
    ) -> shell_pb2.CloseShellResponse:
        """End a terminal. Without an agent there is none."""
        if not self._agents.runs(request.local_user):
            return shell_pb2.CloseShellResponse()
        call = AgentRequest(request_id=_request_id(context), close_shell=request)
        try:
            response = await self._agents.call(request.local_user, call)
        except AgentGone:  # and with it its terminals
            return shell_pb2.CloseShellResponse()
        except (AgentRefused, SpawnerGone) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        if response.failure:
            await context.abort(grpc.StatusCode.UNAVAILABLE, response.failure)
        log.info("shell closed", local_user=request.local_user, request_id=_request_id(context))
        return response.close_shell


def plain(reason: str) -> str:
    """Return what of an agent's words can be shown in a line."""
    return "".join(letter for letter in reason if letter.isprintable())[:MOST_WORDS]


async def _type(typed: AsyncIterator[ShellInput], writer: asyncio.StreamWriter) -> None:
    """Hand on what is typed, no faster than the agent takes it."""
    async for message in typed:
        write_message(writer, message)
        await writer.drain()


def _request_id(context: Context) -> str:
    return str(dict(context.invocation_metadata() or ()).get(REQUEST_ID, ""))
