"""Changes to a job that its user asks for while it lives: more time, a pause, and on again."""

from collections.abc import Awaitable, Mapping

from slurm_provider.config import FacadeConfig, Product, SuspendBy
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.launch.plan import LONGEST_SECONDS, LONGEST_YEARS
from slurm_provider.rpc.cluster import Cluster, ClusterRefused, ClusterUnavailable
from slurm_provider.rpc.v1.operation_pb2 import (
    PROGRESS_HOLD,
    PROGRESS_RELEASE,
    PROGRESS_REQUEUE_HOLD,
    PROGRESS_RESUME,
    PROGRESS_SAVE_HOLD,
    PROGRESS_SUSPEND,
    Progress,
)
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.limits import objection
from slurm_provider.tracker.states import SlurmState
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState


class OperationRefused(Exception):
    """What cannot be done to a job; the text is for the user."""


class Operations:
    """Does to a job in Slurm what its user asks for. Raises OperationRefused."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        clusters: Mapping[str, Cluster],
        limits: Mapping[str, LimitCache],
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._clusters = clusters
        self._limits = limits

    async def extend(self, job_id: str, seconds: int) -> None:
        """Add to a job's time limit, and tell Core the new total."""
        job, slurm_id = await self._living(job_id)
        if seconds <= 0:
            raise OperationRefused("a job can only be extended by more than nothing")
        if seconds > LONGEST_SECONDS:
            raise OperationRefused(f"a job can be extended by at most {LONGEST_YEARS} years")
        if job.time_limit_seconds is None:
            raise OperationRefused("the job has no time limit that could be extended")
        # Slurm counts in whole minutes and rounds up.
        total = -(-(job.time_limit_seconds + seconds) // 60) * 60
        wanted = SubmitRequest(
            local_user=job.local_user,
            account=job.account,
            partition=job.partition,
            qos=job.qos,
            nodes=job.replicas,
            time_limit_seconds=total,
        )
        limits = await self._limits[job.cluster].last_known()
        if limits and (why := objection(wanted, limits)):
            raise OperationRefused(why)
        await self._ask(self._clusters[job.cluster].set_time_limit(job.local_user, slurm_id, total))
        change = JobChange(
            job_id, {"time_limit_seconds": total}, updates=[JobUpdate(newTimeAllocation=total * 1000)]
        )
        await self._jobmap.call(JobMap.apply, [change])

    async def suspend(self, job_id: str) -> None:
        """Pause a running job, or keep a waiting one from starting; its new state is told by the tracker."""
        job, slurm_id = await self._living(job_id)
        if job.state is JobState.SUSPENDED:
            return
        product = self._config.product(job.category, job.product)
        progress = PROGRESS_HOLD
        if job.state is JobState.RUNNING:
            progress = pause(product)
        await self._change(job, slurm_id, progress)

    async def unsuspend(self, job_id: str) -> None:
        """Let a paused job go on; a job that is not paused is left alone."""
        job, slurm_id = await self._living(job_id)
        if job.state is JobState.SUSPENDED:
            paused = job.slurm_state == SlurmState.SUSPENDED
            await self._change(job, slurm_id, PROGRESS_RESUME if paused else PROGRESS_RELEASE)

    async def _living(self, job_id: str) -> tuple[JobRow, int]:
        job = await self._jobmap.call(JobMap.job, job_id)
        if job is None:
            raise OperationRefused("this provider does not know the job")
        if job.cluster not in self._clusters:
            raise OperationRefused(f"the job's cluster '{job.cluster}' is no longer served by this provider")
        if job.state.is_final or job.wished_state is not None:
            raise OperationRefused("the job has ended, or is about to")
        if job.slurm_id is None:
            raise OperationRefused("the job has not reached Slurm yet; try again in a moment")
        return job, job.slurm_id

    async def _change(self, job: JobRow, slurm_id: int, progress: Progress.ValueType) -> None:
        await self._ask(self._clusters[job.cluster].change_progress(job.local_user, slurm_id, progress))

    async def _ask(self, call: Awaitable[None]) -> None:
        try:
            await call
        except ClusterRefused as error:
            raise OperationRefused(f"Slurm refuses: {error}") from error
        except ClusterUnavailable as error:
            raise OperationRefused(f"Slurm does not answer just now, try again later: {error}") from error


def pause(product: Product | None) -> Progress.ValueType:
    """Return how a running job of a product is paused; a virtual machine's memory is never lost."""
    if product is None or product.suspend is SuspendBy.SUSPEND:
        return PROGRESS_SUSPEND
    return PROGRESS_SAVE_HOLD if product.virtual_machines else PROGRESS_REQUEUE_HOLD
