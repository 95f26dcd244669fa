"""Jobs that Core knows and the job map does not: found in Slurm by their tags, or surely gone."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Submission, UnmappedError
from slurm_provider.launch.paths import ucloud_path
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.charges import DEFAULT_PRICE_UNIT, UNIT_SECONDS, grid_units
from slurm_provider.tracker.identity import Tagger, carries
from slurm_provider.tracker.lookup import Found, choose
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import Job, JobState

log = structlog.get_logger()

GONE = "Your job is no longer available"


class Adoption:
    """Reconciles jobs that Core asks about with the job map and with Slurm."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        core: CoreClient,
        clusters: Mapping[str, Cluster],
        tagger: Tagger,
        told: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._core = core
        self._clusters = clusters
        self._tagger = tagger
        self._told = told
        self._clock = clock

    async def verify(self, jobs: Sequence[Job]) -> None:
        """Make sure that each job is known or that Core learns that it is gone.

        Known and alive: nothing. Known and ended: its end is told again. Unknown: adopted when
        Slurm has it, FAILURE when a complete look found nothing, else nothing is said.
        """
        unknown = []
        for job in jobs:
            row = await self._jobmap.call(JobMap.job, job.id)
            if row is None:
                unknown.append(job)
            elif row.state.is_final:
                await self._jobmap.call(JobMap.tell, job.id, JobUpdate(state=row.state, status=row.message))
        by_cluster: dict[str, list[Job]] = {}
        for job in unknown:
            if cluster := self._cluster_of(job):
                by_cluster.setdefault(cluster, []).append(job)
            else:
                log.warning("job not verified", job_id=job.id, reason="its product is not known here")
        for cluster, asked in by_cluster.items():
            try:
                await self._find(cluster, asked)
            except (ClusterUnavailable, CoreUnavailable) as error:
                log.warning("jobs not verified", cluster=cluster, jobs=len(asked), reason=str(error))
        self._told()

    async def adopt(self, job: Job) -> None:
        """Take a single job over from Slurm if it is there; raises nothing."""
        await self.verify([job])

    def _cluster_of(self, job: Job) -> str | None:
        product = self._product(job)
        if product is None and len(self._clusters) == 1:
            return next(iter(self._clusters))
        return product.cluster if product else None

    def _product(self, job: Job) -> Product | None:
        wanted = job.specification.product if job.specification else None
        return self._config.product(wanted.category, wanted.id) if wanted else None

    async def _find(self, cluster_name: str, jobs: Sequence[Job]) -> None:
        """Look for all of these jobs with one squeue and one sacct, however many they are."""
        cluster = self._clusters[cluster_name]
        earliest = self._clock() - self._config.tracker.lookup_days * 86400
        created = [job.createdAt / 1000 for job in jobs if job.createdAt]
        since = int(max(min(created, default=earliest) - 3600, earliest))
        live = await cluster.live_jobs()
        records = await cluster.accounting(since)
        rows: list[LiveJob | AccountingRecord] = [*live, *records]
        for job in jobs:
            tag = self._tagger.tag(job.id)
            if not any(carries(row, tag) for row in rows):
                log.info("job not in Slurm", job_id=job.id, cluster=cluster_name)
                await self._jobmap.call(JobMap.tell, job.id, JobUpdate(state=JobState.FAILURE, status=GONE))
                continue
            identity = await self._identity(job)
            if identity is None:
                continue
            user, account = identity
            found = choose(live, records, tag=tag, user=user, account=account)
            if found is None:
                log.warning("tag found on another user's job", job_id=job.id, cluster=cluster_name)
                await self._jobmap.call(JobMap.tell, job.id, JobUpdate(state=JobState.FAILURE, status=GONE))
                continue
            await self._add(job, cluster_name, tag, user, account, found)

    async def _identity(self, job: Job) -> tuple[str, str] | None:
        owner = job.owner
        if owner is None:
            return None
        try:
            return await self._jobmap.call(JobMap.local_identity, owner.createdBy, owner.project)
        except UnmappedError as error:
            log.warning("job not adopted", job_id=job.id, reason=str(error))
            return None

    async def _add(self, job: Job, cluster: str, tag: str, user: str, account: str, found: Found) -> None:
        job = await self._complete(job)
        specification, product = job.specification, self._product(job)
        if specification is None or product is None or job.owner is None:
            log.warning("job not adopted", job_id=job.id, reason="its product is not known here")
            return
        resolved = job.status.resolvedProduct if job.status else None
        unit_seconds = UNIT_SECONDS[(resolved.unitOfPrice if resolved else None) or DEFAULT_PRICE_UNIT]
        application = specification.application
        row = JobRow(
            job_id=job.id,
            cluster=cluster,
            ucloud_user=job.owner.createdBy,
            project=job.owner.project,
            local_user=user,
            account=account,
            application=f"{application.name} {application.version}" if application else "unknown",
            category=product.category,
            product=product.id,
            replicas=specification.replicas or 1,
            partition=product.partition,
            qos=product.qos or "",
            tag=tag,
            unit_seconds=unit_seconds,
            grid_units=product.grid_units or grid_units(unit_seconds),
            created_at=(job.createdAt or 0) // 1000,
            submission=Submission.SUBMITTED,
            slurm_id=found.slurm_id,
            slurm_submit_time=found.submit_time,
            submitted_at=found.submit_time,
            folder=found.folder,
        )
        update = JobUpdate(outputFolder=ucloud_path(found.folder, self._config.drives))
        log.info("job adopted", job_id=job.id, slurm_id=found.slurm_id)
        await self._jobmap.call(JobMap.add_jobs, [(row, JobChange(job.id, updates=[update]))])

    async def _complete(self, job: Job) -> Job:
        """Return the job with its product: what Core sends to be verified may lack it."""
        if job.status and job.status.resolvedProduct:
            return job
        try:
            return await self._core.retrieve(job.id)
        except CoreRefused as error:
            raise CoreUnavailable(f"Core does not show the job {job.id}: {error}") from error
