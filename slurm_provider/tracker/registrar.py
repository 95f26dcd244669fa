"""Jobs that mapped users submit without UCloud are registered at today's Core, each once.

The intent is on disk before Core is asked, and Core is asked for the job before it is asked to
register it: so neither a lost answer nor a lost job map makes a second registration.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable, TodaysCore
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, OutsideJob, Submission
from slurm_provider.launch.paths import ucloud_path
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.tracker.outside import may_be_outside, owner_of, product_of, specification
from slurm_provider.tracker.payment import payment
from slurm_provider.ucloud.control import JobUpdate, RegisterItem

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
        ours = await self._jobmap.call(lambda jobmap: jobmap.outside.ours(name))
        users, projects = await self._jobmap.call(JobMap.mappings)
        found = {
            job.slurm_id: (job, owner)
            for job in live
            if may_be_outside(job, ours, self._config)
            and (job.slurm_id, job.submit_time) not in self._like_no_product
            and (owner := owner_of(job, users, projects))
        }
        for job, outside, owner in await self._unsettled(found):
            if described := await self._described(job):
                await self._settle(job, outside, owner, *described)

    async def _unsettled(
        self, found: dict[int, tuple[LiveJob, tuple[str, str | None]]]
    ) -> list[tuple[LiveJob, OutsideJob, tuple[str, str | None]]]:
        """Return the jobs that Core does not know yet, as far as is known, each with its intent."""
        name = self._cluster.name
        rows = await self._jobmap.call(lambda jobmap: jobmap.outside.of(name, found))
        unsettled = []
        for slurm_id, (job, owner) in found.items():
            fresh = OutsideJob(f"{name}/{slurm_id}/{job.submit_time}", name, slurm_id, job.user)
            own = [row for row in rows if (row.slurm_id, row.local_user) == (slurm_id, job.user)]
            begun = next((row for row in own if not row.is_settled), None)
            known = next((row for row in own if row.provider_id == fresh.provider_id), None)
            outside = begun or known or fresh
            if not outside.is_settled:
                unsettled.append((job, outside, owner))
        return unsettled[:JOBS_AT_ONCE]

    async def _described(self, job: LiveJob) -> tuple[Product, int, str] | None:
        for shape in await self._cluster.describe_jobs([job.slurm_id]):
            if shape.user == job.user and (like := product_of(job, shape, self._cluster.name, self._config)):
                return *like, shape.qos
        self._like_no_product.add((job.slurm_id, job.submit_time))
        return None

    async def _settle(
        self,
        job: LiveJob,
        outside: OutsideJob,
        owner: tuple[str, str | None],
        product: Product,
        replicas: int,
        qos: str,
    ) -> None:
        now = self._clock()
        patience = self._config.core.timeout_seconds + LATE_SECONDS
        if outside.asked_at is not None and now - outside.asked_at < patience:
            return
        try:
            job_id = await self._todays.find_job(outside.provider_id)
            if job_id is None:
                await self._keep(replace(outside, asked_at=int(now)))
                item = RegisterItem(
                    spec=specification(job, product, replicas, self._config.provider.id),
                    providerGeneratedId=outside.provider_id,
                    createdBy=owner[0],
                    project=owner[1],
                )
                job_id = await self._todays.register_job(item.model_dump_json())
            row = await self._row(job, outside, job_id, owner, product, replicas, qos)
        except CoreRefused as error:
            log.warning("outside job not registered", slurm_id=job.slurm_id, reason=str(error))
            await self._keep(replace(outside, refused=str(error)))
            return
        await self._add(job, row)
        await self._keep(replace(outside, job_id=job_id))
        log.info("outside job registered", job_id=job_id, slurm_id=job.slurm_id, user=job.user)
        self._told()

    async def _keep(self, outside: OutsideJob) -> None:
        await self._jobmap.call(lambda jobmap: jobmap.outside.keep(outside))

    async def _row(
        self,
        job: LiveJob,
        outside: OutsideJob,
        job_id: str,
        owner: tuple[str, str | None],
        product: Product,
        replicas: int,
        qos: str,
    ) -> JobRow:
        resolved = None
        is_paid = self._config.clusters[self._cluster.name].report_outside_usage
        if is_paid and (status := (await self._core.retrieve(job_id)).status):
            resolved = status.resolvedProduct
        paid = payment(resolved, product, self._config)
        return JobRow(
            job_id=job_id,
            cluster=self._cluster.name,
            ucloud_user=owner[0],
            project=owner[1],
            local_user=job.user,
            account=job.account,
            application="unknown",
            category=product.category,
            product=product.id,
            replicas=replicas,
            partition=job.partition,
            qos=qos,
            tag=f"outside {outside.provider_id}",  # no job bears it: it is known by its id and its times
            unit_seconds=paid.unit_seconds,
            grid_units=paid.grid_units,
            unit_price=paid.unit_price if is_paid else 0,
            created_at=job.submit_time,
            submission=Submission.SUBMITTED,
            time_limit_seconds=job.time_limit_seconds or None,
            slurm_id=job.slurm_id,
            slurm_submit_time=job.submit_time,
            submitted_at=job.submit_time,
        )

    async def _add(self, job: LiveJob, row: JobRow) -> None:
        told = JobUpdate(
            status=f"The job was submitted to the partition {row.partition} without UCloud"
            f" (Slurm job {row.slurm_id})",
            outputFolder=ucloud_path(job.folder, self._config.drives),
        )
        await self._jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id, updates=[told]))])
