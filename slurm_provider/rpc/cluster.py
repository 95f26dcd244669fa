"""A cluster as the façade sees it: the calls of its sidecar, with one kind of error."""

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio

from slurm_provider.config.sections import Cluster as ClusterSection
from slurm_provider.rpc.calls import ClusterRefused, ClusterUnavailable, call_options, unavailable
from slurm_provider.rpc.endpoints import open_channel
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

CONNECT_TIMEOUT_SECONDS = 2.0
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
            return await self._submission.Submit(request, **call_options())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def cancel(self, local_user: str, slurm_id: int) -> None:
        """Ask Slurm to end a job, as its owner."""
        request = CancelRequest(local_user=local_user, slurm_id=slurm_id)
        try:
            await self._submission.Cancel(request, **call_options(CANCEL_TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def set_time_limit(self, local_user: str, slurm_id: int, seconds: int) -> None:
        """Set a job's time limit; raise ClusterRefused when Slurm does not."""
        request = SetTimeLimitRequest(local_user=local_user, slurm_id=slurm_id, time_limit_seconds=seconds)
        try:
            await self._operation.SetTimeLimit(request, **call_options())
        except grpc.aio.AioRpcError as error:
            raise _refused_or_unavailable(error) from error

    async def change_progress(self, local_user: str, slurm_id: int, progress: Progress.ValueType) -> None:
        """Stop a job for a while, or let it go on; raise ClusterRefused when Slurm does not."""
        request = ChangeProgressRequest(local_user=local_user, slurm_id=slurm_id, progress=progress)
        try:
            await self._operation.ChangeProgress(request, **call_options())
        except grpc.aio.AioRpcError as error:
            raise _refused_or_unavailable(error) from error

    async def set_authorized_keys(self, local_user: str, label: str, keys: Sequence[str]) -> None:
        """Let the owners of these keys log in as a local user; raise ClusterRefused when that cannot be."""
        request = SetAuthorizedKeysRequest(local_user=local_user, label=label, keys=keys)
        try:
            answer = await self._access.SetAuthorizedKeys(request, **call_options(KEYS_TIMEOUT_SECONDS))
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        if answer.refusal:
            raise ClusterRefused(answer.refusal)

    async def live_jobs(self, name: str = "") -> list[LiveJob]:
        """Return every job that slurmctld remembers, or those of one name."""
        try:
            return [
                job
                async for chunk in self._queue.ListLiveJobs(ListLiveJobsRequest(name=name), **call_options())
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
                async for chunk in self._queue.ListAccounting(request, **call_options())
                for record in chunk.records
            ]
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def nodes(self) -> list[Node]:
        """Return what each node has, and how much of it is in use."""
        try:
            return [
                node
                async for chunk in self._queue.ListNodes(ListNodesRequest(), **call_options())
                for node in chunk.nodes
            ]
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error

    async def describe_jobs(self, slurm_ids: Sequence[int]) -> list[JobShape]:
        """Return what some jobs take up; those that slurmctld no longer knows are left out."""
        try:
            request = DescribeJobsRequest(slurm_ids=slurm_ids)
            response = await self._shape.DescribeJobs(request, **call_options())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error
        return list(response.jobs)

    async def check_sight(self) -> None:
        """Raise ClusterUnavailable unless the lists of jobs hold every job there is."""
        try:
            answer = await self._queue.CheckSight(CheckSightRequest(), **_call())
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error
        if answer.impairment:
            raise ClusterUnavailable(answer.impairment)

    async def limits(self) -> Limits:
        """Return what partitions, QOS and associations allow."""
        try:
            return await self._queue.GetLimits(GetLimitsRequest(), **call_options())
        except grpc.aio.AioRpcError as error:
            raise unavailable(error) from error


def _refused_or_unavailable(error: grpc.aio.AioRpcError) -> ClusterRefused | ClusterUnavailable:
    if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
        return ClusterRefused(error.details() or error.code().name)
    return unavailable(error)


__all__ = ["Cluster", "ClusterRefused", "ClusterUnavailable"]
