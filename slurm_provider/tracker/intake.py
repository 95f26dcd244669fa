"""A job as Core sends it becomes a row of the job map, or is refused in words."""

import asyncio
import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from google.protobuf import json_format

from slurm_provider.config import FacadeConfig
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Target, UnmappedError
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.plan import Plan, plan
from slurm_provider.launch.template import Interface
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.choices import UserChoices
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.limits import maximum_time, objection
from slurm_provider.tracker.links import JobLinks
from slurm_provider.tracker.maintenance import closed
from slurm_provider.tracker.payment import PaymentUnknown, payment
from slurm_provider.tracker.peers import connected
from slurm_provider.tracker.rendering import render_apart
from slurm_provider.tracker.restarts import may_restart
from slurm_provider.tracker.ssh_access import ssh_objection
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import Job, ResourceOwner

PLANS_OF_A_USER = 2
"""Made at the same time: a template can take seconds, and nobody's keep the others waiting."""


class JobRefused(Exception):
    """A job that will not be submitted; the text is for the user."""


class Intake:
    """Checks jobs and writes the intent to submit them."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        limits: Mapping[str, LimitCache],
        tagger: Tagger,
        links: JobLinks,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._limits = limits
        self._tagger = tagger
        self._links = links
        self._clock = clock
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(PLANS_OF_A_USER)
        )
        self.choices = UserChoices(config)

    async def check(self, job: Job) -> tuple[JobRow, JobChange] | None:
        """Return the row of a new job and what Core is told of it at once; None for a job that is known.

        Of a known job that has ended and is to start anew, it is the row of its next start. Nothing is
        written and Slurm is not asked: its limits are those last read. Raises JobRefused.
        """
        known = await self._jobmap.call(JobMap.job, job.id)
        if known and not may_restart(known):
            return None
        restart = known.restart + 1 if known else 0
        try:
            user, account = await self._local_identity(job)
            planned = await self._plan(job, user)
            self._check_site(job, planned)
            links = await self._links.wished(job)
            request = planned.submit_request(
                local_user=user,
                account=account,
                tag=self._tagger.tag(job.id, restart),
                job_folder=self._config.clusters[planned.product.cluster].job_folder,
            )
            await self._check_limits(job, planned, request)
            row = self._row(job, planned, request, restart)
        except (LaunchError, UnmappedError, PaymentUnknown) as error:
            raise JobRefused(str(error)) from error
        targets = [_kept(interface) for interface in planned.body.interfaces]
        return row, JobChange(job.id, updates=_first_updates(planned, request), links=links, targets=targets)

    async def _plan(self, job: Job, user: str) -> Plan:
        peers = await connected(self._jobmap, job)
        async with self._turns[user]:
            render = partial(render_apart, scripts=self._config.system.scripts)
            return await asyncio.to_thread(plan, job, self._config, peers, render)

    def _check_site(self, job: Job, planned: Plan) -> None:
        """Raise LaunchError for what the site does not offer, or not now."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        why = ssh_objection(job, self._config.ssh) or closed(self._config.maintenance, planned.product, now)
        if why:
            raise LaunchError(why)

    async def _check_limits(self, job: Job, planned: Plan, request: SubmitRequest) -> None:
        """Complete the request by the user's choices and the longest time; raise LaunchError past a limit."""
        limits = await self._limits[planned.product.cluster].last_known()
        await self.choices.apply(job, request, limits)
        if limits:
            request.time_limit_seconds = request.time_limit_seconds or maximum_time(request, limits)
            if why := objection(request, limits):
                raise LaunchError(why)

    def _row(self, job: Job, planned: Plan, request: SubmitRequest, restart: int) -> JobRow:
        owner = job.owner or ResourceOwner()
        paid = payment(job.status.resolvedProduct if job.status else None, planned.product, self._config)
        return JobRow(
            job_id=job.id,
            cluster=planned.product.cluster,
            ucloud_user=owner.createdBy,
            project=owner.project,
            local_user=request.local_user,
            account=request.account,
            application=planned.application,
            category=planned.product.category,
            product=planned.product.id,
            replicas=planned.replicas,
            partition=request.partition,
            qos=request.qos,
            tag=request.name,
            unit_seconds=paid.unit_seconds,
            grid_units=paid.grid_units,
            unit_price=paid.unit_price,
            created_at=job.createdAt // 1000 if job.createdAt else int(self._clock()),
            time_limit_seconds=request.time_limit_seconds or None,
            submit_request=json_format.MessageToJson(request, preserving_proto_field_name=True),
            restart=restart,
            allow_restart=True if planned.restart_on_exit else None,
        )

    async def _local_identity(self, job: Job) -> tuple[str, str]:
        if job.owner is None or not job.owner.createdBy:
            raise UnmappedError("the job names no owner")
        return await self._jobmap.call(JobMap.local_identity, job.owner.createdBy, job.owner.project)


def _first_updates(planned: Plan, request: SubmitRequest) -> list[JobUpdate]:
    """Return what Core is told of a job before Slurm has it: a time that it did not name, and interfaces."""
    updates = []
    if planned.time_is_default and request.time_limit_seconds:
        updates.append(JobUpdate(newTimeAllocation=request.time_limit_seconds * 1000))
    return updates + [JobUpdate(status=_target(interface)) for interface in planned.body.interfaces]


def _target(interface: Interface) -> str:
    """Return the text by which the portal learns of one more interface of a job."""
    return f"Target: {json.dumps(dataclasses.asdict(interface) | {'defaultName': None})}"


def _kept(interface: Interface) -> Target:
    """Return an interface as the job map has it."""
    return Target(interface.rank, interface.type, (interface.target or "").lower(), interface.port)
