"""Which jobs that were submitted without UCloud are to be known there: pure rules."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.jobmap import OUTSIDE, JobRow, OutsideJob, Submission, UserMapping
from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.rpc.v1.shape_pb2 import JobShape
from slurm_provider.tracker.payment import Payment
from slurm_provider.tracker.states import ucloud_state
from slurm_provider.ucloud.control import RegisteredSpecification, RegisterItem
from slurm_provider.ucloud.jobs import NameAndVersion, ProductReference, SimpleDuration

UNKNOWN = NameAndVersion(name="unknown", version="unknown")
_TAG = re.compile(r"uc-.+-[0-9a-f]{32}")
_NOT_IN_A_NAME = re.compile(r"[^\w ():_-]", re.ASCII)


@dataclass(frozen=True)
class Newcomer:
    """An outside job with its intent to be registered, and whose it is at UCloud."""

    live: LiveJob
    intent: OutsideJob
    ucloud_user: str
    project: str | None


@dataclass(frozen=True)
class Likeness:
    """What an outside job would be if it had begun at UCloud."""

    product: Product
    replicas: int
    qos: str


def may_be_outside(live: LiveJob, ours: Mapping[int, int | None], config: FacadeConfig) -> bool:
    """Return whether a job lives that is not in the job map and does not look like one of ours.

    `ours` has the last end of each Slurm id in the map: an id that is used again is a new job. What
    bears a tag is never taken for an outside job, true or copied.
    """
    state = ucloud_state(live.state, config.core.era)
    if state is None or state.is_final:
        return False
    if any(_TAG.match(word) for word in (live.name, *live.comment.split())):
        return False
    if live.slurm_id not in ours:
        return True
    ended = ours[live.slurm_id]
    return ended is not None and ended < live.submit_time


def owner_of(
    live: LiveJob, users: Sequence[UserMapping], projects: Mapping[str, str]
) -> tuple[str, str | None] | None:
    """Return the UCloud user and project of a job; None unless its user and account mean exactly one."""
    named = [user for user in users if user.local_user == live.user]
    if len(named) != 1:
        return None
    account = live.account.lower()
    owners: list[str | None] = [name for name, of in projects.items() if of.lower() == account]
    if named[0].account.lower() == account:
        owners.append(None)
    return (named[0].ucloud_user, owners[0]) if len(owners) == 1 else None


def likeness_of(live: LiveJob, shape: JobShape, cluster: str, config: FacadeConfig) -> Likeness | None:
    """Return the product that a job is like, and how many replicas of it; None when none fits.

    By partition and QOS, and of these the one with as many cores as the job has on a node, or else the
    largest of which the job is a multiple.
    """
    like = [
        product
        for product in config.products
        if (product.cluster, product.partition) == (cluster, live.partition)
        and product.qos in (None, shape.qos)
        and not product.virtual_machines
    ]
    like.sort(key=lambda product: (product.qos is None, -product.cpu))  # a named QOS tells more than none
    nodes = max(shape.nodes, 1)
    for product in like:
        if product.cpu * nodes == shape.cpus:
            return Likeness(product, nodes, shape.qos)
    for product in like:
        if shape.cpus and shape.cpus % product.cpu == 0:
            return Likeness(product, shape.cpus // product.cpu, shape.qos)
    return None


def registration(newcomer: Newcomer, like: Likeness, provider_id: str) -> RegisterItem:
    """Return what Core is told of a job."""
    return RegisterItem(
        spec=_specification(newcomer.live, like, provider_id),
        providerGeneratedId=newcomer.intent.provider_id,
        createdBy=newcomer.ucloud_user,
        project=newcomer.project,
    )


def _specification(live: LiveJob, like: Likeness, provider_id: str) -> RegisteredSpecification:
    product = like.product
    minutes, seconds = divmod(live.time_limit_seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return RegisteredSpecification(
        application=UNKNOWN,
        product=ProductReference(id=product.id, category=product.category, provider=provider_id),
        name=_NOT_IN_A_NAME.sub("", f"{live.name} (SlurmID: {live.slurm_id})"),
        replicas=like.replicas,
        timeAllocation=SimpleDuration(hours=hours, minutes=minutes, seconds=seconds)
        if live.time_limit_seconds
        else None,
    )


def row_of(job_id: str, newcomer: Newcomer, like: Likeness, paid: Payment) -> JobRow:
    """Return the row of a job that Core has registered: in Slurm already, and submitted by nobody here."""
    live, intent = newcomer.live, newcomer.intent
    return JobRow(
        job_id=job_id,
        cluster=intent.cluster,
        ucloud_user=newcomer.ucloud_user,
        project=newcomer.project,
        local_user=live.user,
        account=live.account,
        application="unknown",
        category=like.product.category,
        product=like.product.id,
        replicas=like.replicas,
        partition=live.partition,
        qos=like.qos,
        tag=OUTSIDE + intent.provider_id,  # it is known by its id and its times
        unit_seconds=paid.unit_seconds,
        grid_units=paid.grid_units,
        unit_price=paid.unit_price,
        created_at=live.submit_time,
        submission=Submission.SUBMITTED,
        time_limit_seconds=live.time_limit_seconds or None,
        slurm_id=live.slurm_id,
        slurm_submit_time=live.submit_time,
        submitted_at=live.submit_time,
    )
