"""What the cluster can never run is refused before it is submitted."""

from typing import Any

import pytest

from slurm_provider.rpc.v1.queue_pb2 import Association, Limits, PartitionLimits, QosLimits
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.limits import in_words, maximum_time, objection

HOUR = 3600


def request(**changes: Any) -> SubmitRequest:
    asked: dict[str, Any] = {
        "local_user": "alice",
        "account": "users",
        "partition": "main",
        "qos": "normal",
        "nodes": 2,
    }
    return SubmitRequest(**asked | {"time_limit_seconds": HOUR} | changes)


def limits(
    partition: dict[str, Any] | None = None,
    qos: dict[str, Any] | None = None,
    *associations: dict[str, Any],
) -> Limits:
    main: dict[str, Any] = {"name": "main", "total_nodes": 4}
    normal: dict[str, Any] = {"name": "normal"}
    allowed: dict[str, Any] = {"account": "users", "user": "alice", "qos": ["normal", "brief"]}
    return Limits(
        partitions=[
            PartitionLimits(**main | (partition or {})),
            PartitionLimits(name="other", max_time_seconds=1, max_nodes=1, total_nodes=1),
        ],
        qos=[QosLimits(**normal | (qos or {})), QosLimits(name="brief", max_wall_seconds=1)],
        associations=[Association(**allowed | association) for association in associations or ({},)],
    )


POSSIBLE = {
    "nothing limited": (request(), limits()),
    "no QOS asked for": (request(qos=""), limits()),
    "no account asked for": (request(account=""), limits()),
    "an account in capitals": (request(account="Users"), limits()),
    "exactly the partition's time": (request(), limits({"max_time_seconds": HOUR})),
    "exactly the partition's nodes": (request(), limits({"max_nodes": 2})),
    "all nodes": (request(nodes=4), limits()),
    "exactly the QOS's time": (request(), limits(None, {"max_wall_seconds": HOUR})),
    "a QOS that overrides the partition's time": (
        request(),
        limits({"max_time_seconds": 60}, {"flags": ["DenyOnLimit", "PartitionTimeLimit"]}),
    ),
    "a QOS that overrides the partition's nodes": (
        request(),
        limits({"max_nodes": 1}, {"flags": ["PartitionMaxNodes"]}),
    ),
    "no association known": (request(), Limits(partitions=limits().partitions)),
    "an account that the partition names": (request(), limits({"allow_accounts": ["bio", "users"]})),
    "a QOS that the partition names": (request(), limits({"allow_qos": ["normal"]})),
    "an association with any QOS": (request(), limits(None, None, {"qos": []})),
    "another user's limits": (request(), limits(None, None, {}, {"user": "bob", "max_wall_seconds": 60})),
    "another account's limits": (
        request(),
        limits(None, None, {}, {"account": "bio", "max_nodes_per_job": 1}),
    ),
    "the limits of an association with another partition": (
        request(),
        limits(None, None, {}, {"partition": "other", "max_wall_seconds": 60, "max_nodes_per_job": 1}),
    ),
}


@pytest.mark.parametrize(("asked", "allowed"), POSSIBLE.values(), ids=POSSIBLE.keys())
def test_what_slurm_can_run_is_not_refused(asked: SubmitRequest, allowed: Limits) -> None:
    assert objection(asked, allowed) is None


IMPOSSIBLE = {
    "an unknown partition": (request(partition="nowhere"), limits(), "partition 'nowhere' does not exist"),
    "an unknown account": (
        request(account="nobodys"),
        limits(),
        "account 'nobodys' does not exist, or 'alice'",
    ),
    "another user's account": (
        request(account="bio"),
        limits(None, None, {"account": "bio", "user": "bob"}),
        "'bio'",
    ),
    "an unknown QOS": (request(qos="magic"), limits(), "QOS 'magic' does not exist"),
    "a QOS of others": (
        request(qos="brief"),
        limits(None, None, {"qos": ["normal"]}),
        "may not use the QOS 'brief'",
    ),
    "an account that the partition shuts out": (
        request(),
        limits({"allow_accounts": ["bio"]}),
        "account 'users' may not use the partition 'main'",
    ),
    "a QOS that the partition shuts out": (
        request(),
        limits({"allow_qos": ["brief"]}),
        "QOS 'normal' may not be used in the partition 'main'",
    ),
    "longer than the partition allows": (
        request(time_limit_seconds=HOUR + 1),
        limits({"max_time_seconds": HOUR}),
        "asks for 1 h 1 s, but the partition 'main' allows at most 1 h",
    ),
    "longer than the QOS allows": (
        request(),
        limits(None, {"max_wall_seconds": 600}),
        "but the QOS 'normal' allows at most 10 min",
    ),
    "longer than the QOS allows, whatever the partition": (
        request(),
        limits({"max_time_seconds": 60}, {"max_wall_seconds": 600, "flags": ["PartitionTimeLimit"]}),
        "QOS 'normal' allows at most 10 min",
    ),
    "longer than the account allows": (
        request(),
        limits(None, None, {"max_wall_seconds": 90}),
        "but the account 'users' allows at most 1 min 30 s",
    ),
    "more nodes than the partition allows": (
        request(),
        limits({"max_nodes": 1}),
        "asks for 2 nodes, but the partition 'main' allows at most 1",
    ),
    "more nodes than there are": (
        request(nodes=5),
        limits(None, {"flags": ["PartitionMaxNodes"]}),
        "asks for 5 nodes, but the partition 'main' allows at most 4",
    ),
    "more nodes than the QOS allows": (request(), limits(None, {"max_nodes_per_job": 1}), "the QOS 'normal'"),
    "more nodes than the account allows": (
        request(),
        limits(None, None, {"max_nodes_per_job": 1}),
        "the account 'users' allows at most 1",
    ),
    "longer than the association with this partition allows": (
        request(),
        limits(None, None, {}, {"partition": "main", "max_wall_seconds": 60}),
        "the account 'users' allows at most 1 min",
    ),
}


@pytest.mark.parametrize(("asked", "allowed", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_slurm_can_never_run_is_refused_in_words(
    asked: SubmitRequest, allowed: Limits, words: str
) -> None:
    assert words in (objection(asked, allowed) or "")


@pytest.mark.parametrize(
    ("partition", "qos", "association", "seconds"),
    [
        ({"max_time_seconds": HOUR}, {}, {}, HOUR),
        ({}, {}, {}, 0),
        ({"max_time_seconds": HOUR}, {"max_wall_seconds": 600}, {}, 600),
        ({"max_time_seconds": HOUR}, {}, {"max_wall_seconds": 60}, 60),
        ({"max_time_seconds": HOUR}, {"max_wall_seconds": 7200}, {}, HOUR),
    ],
)
def test_a_job_without_a_time_is_never_refused_for_the_time_that_we_choose(
    partition: dict[str, Any], qos: dict[str, Any], association: dict[str, Any], seconds: int
) -> None:
    allowed = limits(partition, qos, association)
    longest = maximum_time(request(time_limit_seconds=0), allowed)
    assert objection(request(time_limit_seconds=longest), allowed) is None
    assert longest == seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (5400, "1 h 30 min"), (90061, "25 h 1 min 1 s")],
)
def test_a_duration_is_told_in_words(seconds: int, words: str) -> None:
    assert in_words(seconds) == words
