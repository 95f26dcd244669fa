"""What the cluster can never run is refused before it is submitted, in words."""

from collections.abc import Iterable

from slurm_provider.rpc.v1.queue_pb2 import Association, Limits, PartitionLimits, QosLimits
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest


def objection(request: SubmitRequest, limits: Limits) -> str | None:
    """Return why Slurm would never run this job, for the user; None when nothing speaks against it."""
    partition = next((p for p in limits.partitions if p.name == request.partition), None)
    if partition is None:
        return f"the partition '{request.partition}' does not exist on the cluster"
    associations = [
        association
        for association in limits.associations
        if association.user == request.local_user and association.account == request.account.lower()
    ]
    if limits.associations and request.account and not associations:
        return (
            f"the Slurm account '{request.account}' does not exist, or '{request.local_user}' may not use it"
        )
    qos = next((q for q in limits.qos if q.name == request.qos), None)
    if request.qos and limits.qos and qos is None:
        return f"the QOS '{request.qos}' does not exist on the cluster"
    return (
        _access(request, partition, associations)
        or _time(request, partition, qos, associations)
        or _nodes(request, partition, qos, associations)
    )


def maximum_time(request: SubmitRequest, limits: Limits) -> int:
    """Return the longest time limit in seconds that the job's partition allows; 0 where there is none."""
    return next((p.max_time_seconds for p in limits.partitions if p.name == request.partition), 0)


def _access(
    request: SubmitRequest, partition: PartitionLimits, associations: Iterable[Association]
) -> str | None:
    if partition.allow_accounts and request.account.lower() not in partition.allow_accounts:
        return f"the Slurm account '{request.account}' may not use the partition '{partition.name}'"
    if request.qos and partition.allow_qos and request.qos not in partition.allow_qos:
        return f"the QOS '{request.qos}' may not be used in the partition '{partition.name}'"
    allowed = {name for association in associations for name in association.qos}
    if request.qos and allowed and request.qos not in allowed:
        return f"the Slurm account '{request.account}' may not use the QOS '{request.qos}'"
    return None


def _time(
    request: SubmitRequest,
    partition: PartitionLimits,
    qos: QosLimits | None,
    associations: Iterable[Association],
) -> str | None:
    wanted = request.time_limit_seconds
    limits = [
        (association.max_wall_seconds, f"the account '{request.account}'") for association in associations
    ]
    if qos:
        limits.append((qos.max_wall_seconds, f"the QOS '{qos.name}'"))
    if not (qos and "PartitionTimeLimit" in qos.flags):
        limits.append((partition.max_time_seconds, f"the partition '{partition.name}'"))
    for limit, whose in limits:
        if limit and wanted > limit:
            return f"the job asks for {in_words(wanted)}, but {whose} allows at most {in_words(limit)}"
    return None


def _nodes(
    request: SubmitRequest,
    partition: PartitionLimits,
    qos: QosLimits | None,
    associations: Iterable[Association],
) -> str | None:
    limits = [
        (association.max_nodes_per_job, f"the account '{request.account}'") for association in associations
    ]
    if qos:
        limits.append((qos.max_nodes_per_job, f"the QOS '{qos.name}'"))
    if not (qos and "PartitionMaxNodes" in qos.flags):
        limits.append((partition.max_nodes, f"the partition '{partition.name}'"))
    limits.append((partition.total_nodes, f"the partition '{partition.name}'"))
    for limit, whose in limits:
        if limit and request.nodes > limit:
            return f"the job asks for {request.nodes} nodes, but {whose} allows at most {limit}"
    return None


def in_words(seconds: int) -> str:
    """Return a duration for people, e.g. `1 h 30 min`."""
    hours, rest = divmod(seconds, 3600)
    minutes, second = divmod(rest, 60)
    parts = [
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{second} s" if second else "",
    ]
    return " ".join(part for part in parts if part) or "0 s"
