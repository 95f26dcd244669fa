"""The gRPC services: each call runs Slurm's commands, as the local user or as the operator."""

import os
import pwd
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

import grpc
import structlog

from slurm_provider.rpc.endpoints import REQUEST_ID
from slurm_provider.rpc.v1 import (
    operation_pb2,
    operation_pb2_grpc,
    queue_pb2,
    queue_pb2_grpc,
    submission_pb2,
    submission_pb2_grpc,
)
from slurm_provider.rpc.v1.agent_pb2 import AgentRequest, AgentResponse, CommandRun
from slurm_provider.sidecar.agents import AgentGone, AgentRefused, Agents, SpawnerGone
from slurm_provider.sidecar.commands import Runner
from slurm_provider.slurm.admin_level import SEES_ALL, SacctmgrShowAdminLevel
from slurm_provider.slurm.command import Answer, SlurmCommand, SlurmUnavailable
from slurm_provider.slurm.limits import SacctmgrShowAssociations, SacctmgrShowQos, ScontrolShowPartition
from slurm_provider.slurm.nodes import ScontrolShowNodes
from slurm_provider.slurm.sacct import Sacct
from slurm_provider.slurm.scancel import SignalBatchScript
from slurm_provider.slurm.scontrol_config import ScontrolShowConfig
from slurm_provider.slurm.scontrol_job import (
    JobChangeRefused,
    ScontrolJob,
    ScontrolSetTimeLimit,
    ScontrolStartNow,
)
from slurm_provider.slurm.squeue import Squeue

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
ROWS_IN_A_MESSAGE = 1000
DEFAULT_START_WITHIN_SECONDS = 20

VERBS = {
    operation_pb2.PROGRESS_SUSPEND: "suspend",
    operation_pb2.PROGRESS_RESUME: "resume",
    operation_pb2.PROGRESS_HOLD: "hold",
    operation_pb2.PROGRESS_RELEASE: "release",
    operation_pb2.PROGRESS_REQUEUE_HOLD: "requeuehold",
}

Row = TypeVar("Row")


class SubmissionService(submission_pb2_grpc.SubmissionServiceServicer):
    """Submits and cancels as the local user, in that user's agent."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def Submit(  # noqa: N802 - the contract's name
        self, request: submission_pb2.SubmitRequest, context: Context
    ) -> submission_pb2.SubmitResponse:
        """Submit one job. A refused user is a refusal of the job.

        When the agent ends before it answers, so does this call: its sbatch may still be running.
        """
        start_before = time.monotonic() + (request.start_within_seconds or DEFAULT_START_WITHIN_SECONDS)
        call = AgentRequest(request_id=_request_id(context), submit=request, start_before=start_before)
        try:
            return (await self._call(request.local_user, call, context, job_name=request.name)).submit
        except AgentRefused as error:
            return submission_pb2.SubmitResponse(refused=submission_pb2.Refusal(reason=str(error)))
        except AgentGone as error:
            await _unavailable(context, error)
        except SlurmUnavailable as error:
            return submission_pb2.SubmitResponse(doubt=submission_pb2.Doubt(reason=str(error)))

    async def Cancel(  # noqa: N802 - the contract's name
        self, request: submission_pb2.CancelRequest, context: Context
    ) -> submission_pb2.CancelResponse:
        """Ask Slurm to end a job."""
        call = AgentRequest(request_id=_request_id(context), cancel=request)
        try:
            return (await self._call(request.local_user, call, context)).cancel
        except AgentRefused as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except (AgentGone, SlurmUnavailable) as error:
            await _unavailable(context, error)

    async def _call(
        self, local_user: str, call: AgentRequest, context: Context, **facts: str
    ) -> AgentResponse:
        try:
            response = await self._agents.call(local_user, call)
        except SpawnerGone as error:
            await _unavailable(context, error)
        _log_runs(response.commands, context, local_user=local_user, **facts)
        if response.failure:
            raise SlurmUnavailable(response.failure)
        return response


class QueueService(queue_pb2_grpc.QueueServiceServicer):
    """Reads queue, accounting and limits as the service user, an operator of Slurm."""

    def __init__(self, operator: Runner) -> None:
        self._operator = operator

    async def ListLiveJobs(  # noqa: N802 - the contract's name
        self, request: queue_pb2.ListLiveJobsRequest, context: Context
    ) -> AsyncIterator[queue_pb2.LiveJobs]:
        """Stream what slurmctld remembers."""
        for jobs in _chunks(await self._run(Squeue(_separator(), name=request.name), context)):
            yield queue_pb2.LiveJobs(jobs=jobs)

    async def ListAccounting(  # noqa: N802 - the contract's name
        self, request: queue_pb2.ListAccountingRequest, context: Context
    ) -> AsyncIterator[queue_pb2.AccountingRecords]:
        """Stream what slurmdbd has recorded."""
        sacct = Sacct(request.since, slurm_ids=request.slurm_ids, name=request.name)
        for records in _chunks(await self._run(sacct, context)):
            yield queue_pb2.AccountingRecords(records=records)

    async def ListNodes(  # noqa: N802 - the contract's name
        self, _request: queue_pb2.ListNodesRequest, context: Context
    ) -> AsyncIterator[queue_pb2.Nodes]:
        """Stream what each node has, and how much of it is in use."""
        for nodes in _chunks(await self._run(ScontrolShowNodes(), context)):
            yield queue_pb2.Nodes(nodes=nodes)

    async def GetLimits(  # noqa: N802 - the contract's name
        self, _request: queue_pb2.GetLimitsRequest, context: Context
    ) -> queue_pb2.Limits:
        """Return what partitions, QOS and associations allow; only what Slurm enforces here."""
        settings = await self._run(ScontrolShowConfig(), context)
        partitions = await self._run(ScontrolShowPartition(), context)
        if "associations" not in settings.enforced:
            return queue_pb2.Limits(partitions=partitions)
        qos = await self._run(SacctmgrShowQos(), context)
        associations = await self._run(SacctmgrShowAssociations(settings.cluster_name), context)
        return queue_pb2.Limits(partitions=partitions, qos=qos, associations=associations)

    async def CheckSight(  # noqa: N802 - the contract's name
        self, _request: queue_pb2.CheckSightRequest, context: Context
    ) -> queue_pb2.CheckSightResponse:
        """Say whether the service user is, and sees, what an operator of Slurm is and sees."""
        user = pwd.getpwuid(os.getuid()).pw_name
        level = await self._run(SacctmgrShowAdminLevel(user), context)
        if level in SEES_ALL:
            return queue_pb2.CheckSightResponse()
        impairment = f"'{user}' is no Operator in Slurm, which may hide jobs from it"
        return queue_pb2.CheckSightResponse(impairment=impairment)

    async def _run(self, command: SlurmCommand[Answer], context: Context) -> Answer:
        return await run_as_operator(self._operator, command, context)


def _command(request: operation_pb2.ChangeProgressRequest) -> SlurmCommand[None] | None:
    if request.progress == operation_pb2.PROGRESS_SAVE_HOLD:
        return SignalBatchScript(request.slurm_id, "USR1")
    verb = VERBS.get(request.progress)
    return ScontrolJob(verb, request.slurm_id) if verb else None


def _separator() -> str:
    """Return what no user can have written into a job's name or comment."""
    return f"\x1f{secrets.token_hex(4)}"


class OperationService(operation_pb2_grpc.OperationServiceServicer):
    """Changes jobs as the service user, an operator of Slurm, after a look at whose they are."""

    def __init__(self, operator: Runner) -> None:
        self._operator = operator

    async def SetTimeLimit(  # noqa: N802 - the contract's name
        self, request: operation_pb2.SetTimeLimitRequest, context: Context
    ) -> operation_pb2.SetTimeLimitResponse:
        """Set a job's time limit."""
        command = ScontrolSetTimeLimit(request.slurm_id, request.time_limit_seconds)
        await self._change(request.local_user, request.slurm_id, command, context)
        return operation_pb2.SetTimeLimitResponse()

    async def ChangeProgress(  # noqa: N802 - the contract's name
        self, request: operation_pb2.ChangeProgressRequest, context: Context
    ) -> operation_pb2.ChangeProgressResponse:
        """Stop a job for a while, or let it go on."""
        command = _command(request)
        if command is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request says not what to do")
        await self._change(request.local_user, request.slurm_id, command, context)
        if request.progress == operation_pb2.PROGRESS_RELEASE:
            # A job that was requeued would otherwise wait for two minutes more.
            await self._change(
                request.local_user, request.slurm_id, ScontrolStartNow(request.slurm_id), context
            )
        return operation_pb2.ChangeProgressResponse()

    async def _change(
        self, local_user: str, slurm_id: int, command: SlurmCommand[None], context: Context
    ) -> None:
        runs: list[CommandRun] = []
        try:
            rows = await self._operator.run(Squeue(_separator(), slurm_id=slurm_id), runs)
            if not any(row.user == local_user for row in rows):
                message = f"Slurm has no job {slurm_id} of '{local_user}'"
                await context.abort(grpc.StatusCode.NOT_FOUND, message)
            await self._operator.run(command, runs)
        except JobChangeRefused as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except SlurmUnavailable as error:
            await _unavailable(context, error)
        finally:
            _log_runs(runs, context)


async def run_as_operator(operator: Runner, command: SlurmCommand[Answer], context: Context) -> Answer:
    """Return a command's answer, and log its run; end the call when Slurm gives none."""
    runs: list[CommandRun] = []
    try:
        return await operator.run(command, runs)
    except SlurmUnavailable as error:
        await _unavailable(context, error)
    finally:
        _log_runs(runs, context)


async def _unavailable(context: Context, error: Exception) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def _request_id(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get(REQUEST_ID, ""))


def _log_runs(runs: Iterable[CommandRun], context: Context, **facts: str) -> None:
    for run in runs:
        returncode = run.returncode if run.HasField("returncode") else None
        write = log.info if returncode == 0 else log.warning
        write(
            "slurm command",
            argv=list(run.argv),
            returncode=returncode,
            seconds=round(run.seconds, 3),
            stderr=run.stderr.strip(),
            request_id=_request_id(context),
            **facts,
        )


def _chunks(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[start : start + ROWS_IN_A_MESSAGE] for start in range(0, len(rows), ROWS_IN_A_MESSAGE))
