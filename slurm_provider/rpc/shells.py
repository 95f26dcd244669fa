"""The terminals of a cluster, as the façade sees them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from slurm_provider.rpc.errors import ClusterUnavailable, unavailable
from slurm_provider.rpc.request_id import metadata
from slurm_provider.rpc.v1.shell_pb2 import (
    CloseShellRequest,
    ShellInput,
    ShellOutput,
    ShellStart,
    WindowSize,
)
from slurm_provider.rpc.v1.shell_pb2_grpc import ShellServiceStub

CLOSE_TIMEOUT_SECONDS = 30.0
INPUT_BYTES = 32 * 1024
"""Of one message: what was pasted is handed over in pieces."""


class AttachedShell:
    """A terminal that is looked at. Everything raises ClusterUnavailable when it cannot be any more."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[ShellInput, ShellOutput]") -> None:
        self._call = call

    async def start(self, start: ShellStart) -> None:
        """Say which terminal is meant."""
        await self._send(ShellInput(start=start))

    async def type(self, data: bytes) -> None:
        """Hand over what was typed; returns when there is room for more."""
        for start in range(0, len(data), INPUT_BYTES):
            await self._send(ShellInput(data=data[start : start + INPUT_BYTES]))

    async def resize(self, size: WindowSize) -> None:
        """Change the size of the window."""
        await self._send(ShellInput(resize=size))

    async def outputs(self) -> AsyncIterator[ShellOutput]:
        """Yield what is printed; the last one may say why there is no more."""
        try:
            async for output in self._call:
                yield output
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def _send(self, message: ShellInput) -> None:
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        except asyncio.InvalidStateError as error:  # the call has ended
            raise ClusterUnavailable("the connection to the terminal has ended") from error


class Shells:
    """Opens terminals, and closes them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ShellServiceStub(channel)

    @asynccontextmanager
    async def attach(self, start: ShellStart) -> AsyncIterator[AttachedShell]:
        """Look at a terminal, which is started if there is none, until the context ends."""
        call = self._stub.Attach(metadata=metadata())
        shell = AttachedShell(call)
        try:
            await shell.start(start)
            yield shell
        finally:
            call.cancel()

    async def close(self, local_user: str, key: str) -> None:
        """End a terminal; raise ClusterUnavailable when that is not known to be done."""
        request = CloseShellRequest(local_user=local_user, key=key)
        try:
            await self._stub.Close(request, timeout=CLOSE_TIMEOUT_SECONDS, metadata=metadata())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
