"""Jobs that Core knows and the job map does not: found in Slurm by their tags, or surely gone."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import structlog

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Submission, UnmappedError
from slurm_provider.launch.paths import ucloud_path
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.attempts import past_charges
from slurm_provider.tracker.choices import UserChoices
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.links import JobLinks
from slurm_provider.tracker.lookup import Found, choose_latest
from slurm_provider.tracker.payment import PaymentUnknown, payment
from slurm_provider.tracker.restarts import end_again
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
        limits: Mapping[str, LimitCache],
        links: JobLinks,
        told: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._core = core
        self._clusters = clusters
        self._tagger = tagger
        self._limits = limits
        self._choices = UserChoices(config)
        self._links = links
        self._told = told
        self._clock = clock

    async def verify(self, jobs: Sequence[Job]) -> None:
        """Make sure that each job is known or that Core learns that it is gone; raises nothing.

        Known and alive: nothing. Known and ended: its end is told again. Unknown: adopted when
        Slurm has it, FAILURE when a complete look found nothing, else nothing is said. What goes
        wrong with one job is logged, and the others go on.
        """
        unknown: dict[str, list[Job]] = {}
        for job in jobs:
            with _logged("job not verified", job_id=job.id):
                if await self._is_known(job):
                    continue
                if cluster := self._cluster_of(job):
                    unknown.setdefault(cluster, []).append(job)
                else:
                    log.warning("job not verified", job_id=job.id, reason="its product is not known here")
        for cluster, asked in unknown.items():
            with _logged("jobs not verified", cluster=cluster, jobs=len(asked)):
                await self._find(cluster, asked)
        self._told()

    async def _is_known(self, job: Job) -> bool:
        row = await self._jobmap.call(JobMap.job, job.id)
        if row is not None and row.state.is_final:
            await self._jobmap.call(JobMap.tell, job.id, end_again(row))
        return row is not None

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
        created = [job.createdAt / 1000 if job.createdAt else earliest for job in jobs]
        since = int(max(min(created) - 3600, earliest))
        asked_at = self._clock()
        live = await cluster.live_jobs()
        records = await cluster.accounting(since)
        for job in jobs:
            with _logged("job not verified", job_id=job.id):
                rows = chain[LiveJob | AccountingRecord](live, records)
                if any(self._tagger.restart_of(row, job.id) is not None for row in rows):
                    await self._take_over(job, cluster_name, live, records)
                else:
                    await self._conclude_absence(job, asked_at)

    async def _conclude_absence(self, job: Job, asked_at: float) -> None:
        """Tell Core that a job is gone which is old enough to have been in Slurm if it ever came there."""
        if (job.createdAt or 0) / 1000 > asked_at - self._config.tracker.absence_grace_seconds:
            log.info("job too young to be called absent", job_id=job.id)
            return
        gone = JobUpdate(state=JobState.FAILURE, status=GONE)
        if await self._jobmap.call(JobMap.tell_if_unknown, job.id, gone):
            log.info("job not in Slurm", job_id=job.id)

    async def _take_over(
        self, job: Job, cluster: str, live: list[LiveJob], records: list[AccountingRecord]
    ) -> None:
        identity = await self._identity(job, cluster)
        if identity is None:
            return
        user, account = identity
        found = choose_latest(live, records, tagger=self._tagger, job_id=job.id, user=user, account=account)
        if found is None:
            # The owner may have been mapped anew since: that the job is gone is not known.
            reason = "in Slurm its tag is on a job of another user or account than its owner's"
            log.warning("job not adopted", job_id=job.id, user=user, account=account, reason=reason)
            return
        await self._add(job, cluster, user, account, found)

    async def _identity(self, job: Job, cluster: str) -> tuple[str, str] | None:
        owner = job.owner
        if owner is None:
            log.warning("job not adopted", job_id=job.id, reason="Core does not say whose it is")
            return None
        try:
            user, own = await self._jobmap.call(JobMap.local_identity, owner.createdBy, owner.project)
            return user, self._choices.account(job, user, own, await self._limits[cluster].last_known())
        except UnmappedError as error:
            log.warning("job not adopted", job_id=job.id, reason=str(error))
            return None

    async def _add(self, job: Job, cluster: str, user: str, account: str, found: Found) -> None:
        job = await self._complete(job)
        specification, product = job.specification, self._product(job)
        if specification is None or product is None or job.owner is None:
            log.warning("job not adopted", job_id=job.id, reason="its product is not known here")
            return
        resolved = job.status.resolvedProduct if job.status else None
        try:
            paid = payment(resolved, product, self._config)
        except PaymentUnknown as error:
            log.warning("job not adopted", job_id=job.id, reason=str(error))
            return
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
            tag=self._tagger.tag(job.id, found.restart),
            unit_seconds=paid.unit_seconds,
            grid_units=paid.grid_units,
            unit_price=paid.unit_price,
            created_at=(job.createdAt or 0) // 1000,
            submission=Submission.SUBMITTED,
            slurm_id=found.slurm_id,
            slurm_submit_time=found.submit_time,
            submitted_at=found.submit_time,
            folder=found.folder or None,
            restart=found.restart,
            allow_restart=True if specification.restartOnExit else None,
        )
        output_folder = ucloud_path(found.folder, self._config.drives)
        updates = [JobUpdate(outputFolder=output_folder)] if output_folder else []
        log.info("job adopted", job_id=job.id, slurm_id=found.slurm_id)
        past = past_charges(self._config.provider.id, row, found.attempts)
        links = await self._links.left(job)
        change = JobChange(job.id, attempts=found.attempts, updates=updates, charges=past, links=links)
        await self._jobmap.call(JobMap.add_jobs, [(row, change)])

    async def _complete(self, job: Job) -> Job:
        """Return the job with its product: what Core sends to be verified may lack it."""
        if job.status and job.status.resolvedProduct:
            return job
        return await self._core.retrieve(job.id)


@contextmanager
def _logged(what: str, **details: object) -> Iterator[None]:
    """Log what goes wrong within, instead of raising it."""
    try:
        yield
    except (ClusterUnavailable, CoreUnavailable, CoreRefused) as error:
        log.warning(what, reason=str(error), **details)
    except Exception:
        log.exception(what, **details)
