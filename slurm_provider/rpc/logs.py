"""What jobs print, as the façade reads it from a cluster's sidecar."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc.aio

from slurm_provider.rpc.errors import ClusterUnavailable, refused_or_unavailable
from slurm_provider.rpc.request_id import metadata
from slurm_provider.rpc.v1.logs_pb2 import Drain, FollowRequest, LogChunk, LogFiles
from slurm_provider.rpc.v1.logs_pb2_grpc import LogServiceStub

if TYPE_CHECKING:
    from slurm_provider.rpc.v1.logs_pb2_grpc import LogServiceAsyncStub


class Logs:
    """The log service of one cluster."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = LogServiceStub(channel)

    def read(self, files: LogFiles) -> "LogReading":
        """Return a reading of a job's files, from the positions that are given."""
        return LogReading(self._stub, files)


class LogReading:
    """Goes on until it has been told that the job has ended and has read to the end, or is closed."""

    def __init__(self, stub: "LogServiceAsyncStub", files: LogFiles) -> None:
        self._files = files
        self._ended = asyncio.Event()
        self._closed = False
        self._call = stub.Follow(self._requests(), metadata=metadata())

    async def _requests(self) -> AsyncIterator[FollowRequest]:
        yield FollowRequest(start=self._files)
        await self._ended.wait()
        yield FollowRequest(drain=Drain())

    def drain(self) -> None:
        """Read what is there now, and no more."""
        self._ended.set()

    async def chunks(self) -> AsyncIterator[LogChunk]:
        """Give what the files hold, each file's bytes in their order, as fast as it is taken.

        Raises ClusterUnavailable when the reading broke off, and ClusterRefused.
        """
        try:
            async for chunk in self._call:
                if chunk.at_end:
                    return
                yield chunk
        except grpc.aio.AioRpcError as error:
            raise refused_or_unavailable(error) from error
        except asyncio.CancelledError as error:
            # gRPC says so of a call that was closed, too; whoever reads may have been cancelled all the same.
            reader = asyncio.current_task()
            if not self._closed or (reader is not None and reader.cancelling()):
                raise
            raise ClusterUnavailable("the reading was closed") from error
        raise ClusterUnavailable("the reading of the job's output broke off")

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._ended.set()  # or the requests would wait for ever
        self._call.cancel()
