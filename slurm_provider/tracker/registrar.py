"""Jobs that mapped users submit without UCloud are registered at today's Core, each once.

The intent is on disk before Core is asked, and Core is asked for the job before it is asked to
register it: so neither a lost answer nor a lost job map makes a second registration.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from slurm_provider.config import FacadeConfig
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable, TodaysCore
from slurm_provider.jobmap import Door, JobChange, JobMap, OutsideJob
from slurm_provider.launch.paths import ucloud_path
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.tracker.outside import (
    Likeness,
    Newcomer,
    likeness_of,
    may_be_outside,
    owner_of,
    registration,
    row_of,
)
from slurm_provider.tracker.payment import Payment, PaymentUnknown, payment
from slurm_provider.tracker.states import ucloud_state
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState

log = structlog.get_logger()

JOBS_AT_ONCE = 50
LATE_SECONDS = 5.0
"""How much later than our patience an unanswered registration may still take effect at Core."""


class Registrar:
    """Registers the outside jobs of one cluster, beside its ticks."""

    def __init__(
        self,
        config: FacadeConfig,
        cluster: Cluster,
        jobmap: Door,
        core: CoreClient,
        told: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._cluster = cluster
        self._jobmap = jobmap
        self._core = core
        self._todays = TodaysCore(core)
        self._told = told
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._like_no_product: set[tuple[int, int]] = set()

    def start(self, live: Sequence[LiveJob]) -> None:
        """Look through the queue for outside jobs, unless an earlier look still goes on."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._logged(live))

    async def close(self) -> None:
        """Stop; what Core was asked is found out at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _logged(self, live: Sequence[LiveJob]) -> None:
        try:
            await self.look(live)
        except (CoreUnavailable, ClusterUnavailable) as error:
            log.warning("outside jobs not registered", cluster=self._cluster.name, reason=str(error))
        except Exception:
            log.exception("outside jobs not registered", cluster=self._cluster.name)

    async def look(self, live: Sequence[LiveJob]) -> None:
        """Register the outside jobs among these."""
        name = self._cluster.name
        ids = [job.slurm_id for job in live]
        ours = await self._jobmap.call(lambda jobmap: jobmap.outside.ours(name, ids))
        users, projects = await self._jobmap.call(JobMap.mappings)
        found = {
            job.slurm_id: (job, owner)
            for job in live
            if may_be_outside(job, ours, self._config)
            and (job.slurm_id, job.submit_time) not in self._like_no_product
            and (owner := owner_of(job, users, projects))
        }
        for newcomer in await self._unsettled(found):
            if like := await self._likeness(newcomer.live):
                await self._settle(newcomer, like)
        await self._settle_ended(live)

    async def _unsettled(self, found: Mapping[int, tuple[LiveJob, tuple[str, str | None]]]) -> list[Newcomer]:
        """Return the jobs that Core does not know yet, as far as is known, each with its intent."""
        name = self._cluster.name
        rows = await self._jobmap.call(lambda jobmap: jobmap.outside.of(name, found))
        unsettled = []
        for slurm_id, (job, (user, project)) in found.items():
            fresh = OutsideJob(f"{name}/{slurm_id}/{job.submit_time}", name, slurm_id, job.user)
            own = [row for row in rows if (row.slurm_id, row.local_user) == (slurm_id, job.user)]
            begun = next((row for row in own if not row.is_settled), None)
            known = next((row for row in own if row.provider_id == fresh.provider_id), None)
            intent = begun or known or fresh
            if not intent.is_settled:
                unsettled.append(Newcomer(job, intent, user, project))
        return unsettled[:JOBS_AT_ONCE]

    async def _likeness(self, job: LiveJob) -> Likeness | None:
        for shape in await self._cluster.describe_jobs([job.slurm_id]):
            if shape.user == job.user and (like := likeness_of(job, shape, self._cluster.name, self._config)):
                return like
        self._like_no_product.add((job.slurm_id, job.submit_time))
        return None

    def _is_under_way(self, intent: OutsideJob) -> bool:
        """Return whether an earlier registration may still take effect."""
        patience = self._config.core.timeout_seconds + LATE_SECONDS
        return intent.asked_at is not None and self._clock() - intent.asked_at < patience

    async def _settle_ended(self, live: Sequence[LiveJob]) -> None:
        """Tell Core the end of jobs that have ended before it was known that it has registered them."""
        states = ((job.slurm_id, ucloud_state(job.state, self._config.core.era)) for job in live)
        alive = {slurm_id for slurm_id, state in states if state is None or not state.is_final}
        for intent in await self._jobmap.call(lambda jobmap: jobmap.outside.begun(self._cluster.name)):
            if intent.slurm_id in alive or self._is_under_way(intent):
                continue
            job_id = await self._todays.find_job(intent.provider_id)
            if job_id is not None:
                status = f"The job has ended (Slurm job {intent.slurm_id})"
                end = JobUpdate(state=JobState.SUCCESS, status=status)
                await self._jobmap.call(JobMap.tell_if_unknown, job_id, end)
                self._told()
            refused = None if job_id else "it has ended"
            await self._keep(replace(intent, job_id=job_id, refused=refused))

    async def _settle(self, newcomer: Newcomer, like: Likeness) -> None:
        job, intent = newcomer.live, newcomer.intent
        if self._is_under_way(intent):
            return
        try:
            job_id = await self._todays.find_job(intent.provider_id)
            if job_id is None:
                await self._keep(replace(intent, asked_at=int(self._clock())))
                item = registration(newcomer, like, self._config.provider.id)
                job_id = await self._todays.register_job(item.model_dump_json())
            row = row_of(job_id, newcomer, like, await self._payment(job_id, like))
        except (CoreRefused, PaymentUnknown) as error:
            log.warning("outside job not registered", slurm_id=job.slurm_id, reason=str(error))
            await self._keep(replace(intent, refused=str(error)))
            return
        told = JobUpdate(
            status=f"The job was submitted to the partition {row.partition} without UCloud"
            f" (Slurm job {row.slurm_id})",
            outputFolder=ucloud_path(job.folder, self._config.drives),
        )
        await self._jobmap.call(JobMap.add_jobs, [(row, JobChange(job_id, updates=[told]))])
        await self._keep(replace(intent, job_id=job_id))
        log.info("outside job registered", job_id=job_id, slurm_id=job.slurm_id, user=job.user)
        self._told()

    async def _keep(self, intent: OutsideJob) -> None:
        await self._jobmap.call(lambda jobmap: jobmap.outside.keep(intent))

    async def _payment(self, job_id: str, like: Likeness) -> Payment:
        """Return how a job is paid for: by nothing, unless the site wants outside use to be reported."""
        if not self._config.clusters[self._cluster.name].report_outside_usage:
            return replace(payment(None, like.product, self._config), unit_price=0)
        status = (await self._core.retrieve(job_id)).status
        return payment(status.resolvedProduct if status else None, like.product, self._config)
