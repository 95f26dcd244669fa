"""What the cluster can never run is refused before it is submitted, in words."""

from collections.abc import Iterable

from slurm_provider.rpc.v1.queue_pb2 import Association, Limits, PartitionLimits, QosLimits
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest


def objection(request: SubmitRequest, limits: Limits) -> str | None:
    """Return why Slurm would never run this job, for the user; None when nothing speaks against it."""
    partition = next((p for p in limits.partitions if p.name == request.partition), None)
    if partition is None:
        return f"the partition '{request.partition}' does not exist on the cluster"
    associations = _associations(request, limits)
    if limits.associations and request.account and not associations:
        account, user = request.account, request.local_user
        return f"the Slurm account '{account}' does not exist, or '{user}' may not use it"
    qos = _qos(request, limits)
    if request.qos and limits.qos and qos is None:
        return f"the QOS '{request.qos}' does not exist on the cluster"
    if why := _access(request, partition, associations):
        return why
    for limit, whose in _time_limits(request, limits):
        if request.time_limit_seconds > limit:
            wanted = in_words(request.time_limit_seconds)
            return f"the job asks for {wanted}, but {whose} allows at most {in_words(limit)}"
    for limit, whose in _node_limits(request, partition, qos, associations):
        if limit and request.nodes > limit:
            return f"the job asks for {request.nodes} nodes, but {whose} allows at most {limit}"
    return None


def maximum_time(request: SubmitRequest, limits: Limits) -> int:
    """Return the longest time limit in seconds that the job may have; 0 where there is none."""
    return min((limit for limit, _ in _time_limits(request, limits)), default=0)


def _qos(request: SubmitRequest, limits: Limits) -> QosLimits | None:
    return next((qos for qos in limits.qos if qos.name == request.qos), None)


def _associations(request: SubmitRequest, limits: Limits) -> list[Association]:
    """Return the user's associations with the account: those for the partition, else the general one."""
    ours = [
        association
        for association in limits.associations
        if association.user == request.local_user
        and association.account == request.account.lower()
        and association.partition in ("", request.partition)
    ]
    return [association for association in ours if association.partition] or ours


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


def _time_limits(request: SubmitRequest, limits: Limits) -> list[tuple[int, str]]:
    """Return the limits in seconds that the job's time is under, each with whose it is."""
    found = [
        (association.max_wall_seconds, f"the account '{request.account}'")
        for association in _associations(request, limits)
    ]
    qos = _qos(request, limits)
    if qos:
        found.append((qos.max_wall_seconds, f"the QOS '{qos.name}'"))
    if not (qos and "PartitionTimeLimit" in qos.flags):
        found += [
            (partition.max_time_seconds, f"the partition '{partition.name}'")
            for partition in limits.partitions
            if partition.name == request.partition
        ]
    return [(limit, whose) for limit, whose in found if limit]


def _node_limits(
    request: SubmitRequest,
    partition: PartitionLimits,
    qos: QosLimits | None,
    associations: Iterable[Association],
) -> list[tuple[int, str]]:
    found = [
        (association.max_nodes_per_job, f"the account '{request.account}'") for association in associations
    ]
    if qos:
        found.append((qos.max_nodes_per_job, f"the QOS '{qos.name}'"))
    if not (qos and "PartitionMaxNodes" in qos.flags):
        found.append((partition.max_nodes, f"the partition '{partition.name}'"))
    return [*found, (partition.total_nodes, f"the partition '{partition.name}'")]


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
