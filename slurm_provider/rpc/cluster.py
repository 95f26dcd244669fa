"""A cluster as the façade sees it: the calls of its sidecar, with one kind of error."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio

from slurm_provider.config.sections import Cluster as ClusterSection
from slurm_provider.rpc.endpoints import open_channel
from slurm_provider.rpc.errors import ClusterRefused, ClusterUnavailable, refused_or_unavailable, unavailable
from slurm_provider.rpc.logs import Logs
from slurm_provider.rpc.request_id import metadata
from slurm_provider.rpc.shells import Shells
from slurm_provider.rpc.tunnels import Tunnels
from slurm_provider.rpc.v1.access_pb2 import SetAuthorizedKeysRequest
from slurm_provider.rpc.v1.access_pb2_grpc import AccessServiceStub
from slurm_provider.rpc.v1.operation_pb2 import ChangeProgressRequest, Progress, SetTimeLimitRequest
from slurm_provider.rpc.v1.operation_pb2_grpc import OperationServiceStub
from slurm_provider.rpc.v1.queue_pb2 import (
    AccountingRecord,
    CheckSightRequest,
    GetLimitsRequest,
    Limits,
    ListAccountingRequest,
    ListLiveJobsRequest,
    ListNodesRequest,
    LiveJob,
    Node,
)
from slurm_provider.rpc.v1.queue_pb2_grpc import QueueServiceStub
from slurm_provider.rpc.v1.shape_pb2 import DescribeJobsRequest, JobShape
from slurm_provider.rpc.v1.shape_pb2_grpc import ShapeServiceStub
from slurm_provider.rpc.v1.submission_pb2 import CancelRequest, SubmitRequest, SubmitResponse
from slurm_provider.rpc.v1.submission_pb2_grpc import SubmissionServiceStub

__all__ = ["Cluster", "ClusterRefused", "ClusterUnavailable"]

CONNECT_TIMEOUT_SECONDS = 2.0
CALL_TIMEOUT_SECONDS = 90.0
"""Above the time-out of the sidecar's own Slurm commands."""
KEYS_TIMEOUT_SECONDS = 30.0
CANCEL_TIMEOUT_SECONDS = 30.0
"""A cancellation is asked for again at every tick."""


class Cluster:
    """One cluster. Calls raise ClusterUnavailable; lists are complete when they return at all."""

    def __init__(self, name: str, config: ClusterSection) -> None:
        self.name = name
        self._channel = open_channel(config.sidecar, config.tls)
        self._submission = SubmissionServiceStub(self._channel)
        self._queue = QueueServiceStub(self._channel)
        self._operation = OperationServiceStub(self._channel)
        self._access = AccessServiceStub(self._channel)
        self._shape = ShapeServiceStub(self._channel)
        self.tunnels = Tunnels(config, self._channel)
        self.logs = Logs(self._channel)
        self.shells = Shells(self._channel)

    async def close(self) -> None:
        """Close the connection."""
        await self.tunnels.close()
        await self._channel.close()

    async def connected(self) -> None:
        """Raise ClusterUnavailable when there is no connection: what is sent then surely never arrives."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._channel.channel_ready()
        except TimeoutError as error:
            raise ClusterUnavailable("the sidecar cannot be reached") from error

    async def submit(self, request: SubmitRequest) -> SubmitResponse:
        """Submit a job."""
        try:
            return await self._submission.Submit(request, **_call())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def cancel(self, local_user: str, slurm_id: int) -> None:
        """Ask Slurm to end a job, as its owner."""
        request = CancelRequest(local_user=local_user, slurm_id=slurm_id)
        try:
            await self._submission.Cancel(request, **_call(CANCEL_TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def set_time_limit(self, local_user: str, slurm_id: int, seconds: int) -> None:
        """Set a job's time limit; raise ClusterRefused when Slurm does not."""
        request = SetTimeLimitRequest(local_user=local_user, slurm_id=slurm_id, time_limit_seconds=seconds)
        try:
            await self._operation.SetTimeLimit(request, **_call())
        except grpc.aio.AioRpcError as error:
            raise refused_or_unavailable(error) from error

    async def change_progress(self, local_user: str, slurm_id: int, progress: Progress.ValueType) -> None:
        """Stop a job for a while, or let it go on; raise ClusterRefused when Slurm does not."""
        request = ChangeProgressRequest(local_user=local_user, slurm_id=slurm_id, progress=progress)
        try:
            await self._operation.ChangeProgress(request, **_call())
        except grpc.aio.AioRpcError as error:
            raise refused_or_unavailable(error) from error

    async def set_authorized_keys(self, local_user: str, label: str, keys: Sequence[str]) -> None:
        """Let the owners of these keys log in as a local user; raise ClusterRefused when that cannot be."""
        request = SetAuthorizedKeysRequest(local_user=local_user, label=label, keys=keys)
        try:
            answer = await self._access.SetAuthorizedKeys(request, **_call(KEYS_TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        if answer.refusal:
            raise ClusterRefused(answer.refusal)

    async def live_jobs(self, name: str = "") -> list[LiveJob]:
        """Return every job that slurmctld remembers, or those of one name."""
        try:
            return [
                job
                async for chunk in self._queue.ListLiveJobs(ListLiveJobsRequest(name=name), **_call())
                for job in chunk.jobs
            ]
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def accounting(
        self, since: int, *, slurm_ids: Sequence[int] = (), name: str = ""
    ) -> list[AccountingRecord]:
        """Return the attempts that were queued or running at or after `since`, an epoch second."""
        request = ListAccountingRequest(since=since, slurm_ids=slurm_ids, name=name)
        try:
            return [
                record
                async for chunk in self._queue.ListAccounting(request, **_call())
                for record in chunk.records
            ]
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def nodes(self) -> list[Node]:
        """Return what each node has, and how much of it is in use."""
        try:
            return [
                node
                async for chunk in self._queue.ListNodes(ListNodesRequest(), **_call())
                for node in chunk.nodes
            ]
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def describe_jobs(self, slurm_ids: Sequence[int]) -> list[JobShape]:
        """Return what some jobs take up; those that slurmctld no longer knows are left out."""
        try:
            response = await self._shape.DescribeJobs(DescribeJobsRequest(slurm_ids=slurm_ids), **_call())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        return list(response.jobs)

    async def check_sight(self) -> None:
        """Raise ClusterUnavailable unless the lists of jobs hold every job there is."""
        try:
            answer = await self._queue.CheckSight(CheckSightRequest(), **_call())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        if answer.impairment:
            raise ClusterUnavailable(answer.impairment)

    async def limits(self) -> Limits:
        """Return what partitions, QOS and associations allow."""
        try:
            return await self._queue.GetLimits(GetLimitsRequest(), **_call())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error


def _call(timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return a call's time-out and its request id."""
    return {"timeout": timeout_seconds, "metadata": metadata()}
