"""Why a job waits, in words, and how often its user is told."""

import pytest

from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.tracker.reasons import STUCK_REASONS, in_words, is_held
from slurm_provider.tracker.waiting import waiting_message
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import SUBMITTED_AT, live, record
from tests.unit.life import Life

NOW = 1_800_000_000
START = NOW + 7200


def waits(reason: str = "Priority", start: int = 0) -> LiveJob:
    return live("PENDING", reason=reason, start_time=start)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "other jobs are ahead in the queue"),
        ("Resources", "it is next, and waits for enough nodes to become free"),
        ("Dependency", "it depends on another job that has not ended"),
        ("Licenses", "the licences that it needs are in use"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "nodes that it needs are down, drained or reserved"),
        ("ReqNodeNotAvail(Unavailable:n1)", "nodes that it needs are down, drained or reserved"),
        (
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
            "nodes that it needs are down, drained or reserved",
        ),
        ("PartitionTimeLimit", "its time allocation is longer than the partition allows"),
        ("QOSMaxCpuPerUserLimit", "its owner uses as much as the QOS allows: cores"),
        ("QOSMaxJobsPerUserLimit", "its owner uses as much as the QOS allows: running jobs"),
        ("QOSMaxGRESPerUser", "its owner uses as much as the QOS allows: devices such as GPUs"),
        ("QOSMaxMemoryPerNode", "it asks for more than the QOS allows a job: memory"),
        ("QOSMinCpuNotSatisfied", "it asks for fewer cores than the QOS demands"),
        ("QOSGrpNodeLimit", "all jobs of the QOS together use as much as they may: nodes"),
        ("AssocGrpCPUMinutesLimit", "all jobs of the account together use as much as they may: core minutes"),
        (
            "AssocGrpCPURunMinutesLimit",
            "all jobs of the account together use as much as they may: core minutes of running jobs",
        ),
        ("AssocMaxJobsLimit", "its owner uses as much as the account allows: running jobs"),
        ("MaxMemoryPerAccount", "the account uses as much as the QOS allows: memory"),
        ("AssocGrpBBRunMinutes", "all jobs of the account together use as much as they may: resources"),
        ("SomethingNew", "Slurm says 'SomethingNew'"),
    ],
)
def test_a_reason_for_waiting_is_told_in_words(reason: str, words: str) -> None:
    assert in_words(reason) == words


@pytest.mark.parametrize("reason", ["", "None"])
def test_where_slurm_gives_no_reason_nothing_is_told(reason: str) -> None:
    assert in_words(reason) is None


@pytest.mark.parametrize(
    "reason", ["Resources", "Priority", "Dependency", "JobHeldUser", "BeginTime", "None"]
)
def test_a_reason_that_can_clear_is_not_stuck(reason: str) -> None:
    assert reason not in STUCK_REASONS


@pytest.mark.parametrize("reason", ["PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints"])
def test_a_reason_that_can_never_clear_is_stuck(reason: str) -> None:
    assert STUCK_REASONS[reason]


@pytest.mark.parametrize(
    ("reason", "held"),
    [
        ("JobHeldUser", True),
        ("JobHeldAdmin", True),
        ("job requeued in held state", True),
        ("launch failed requeued held", True),
        ("Priority", False),
        ("", False),
    ],
)
def test_a_job_is_held_by_its_reason(reason: str, held: bool) -> None:
    assert is_held(reason) is held


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("Priority", None, "Waiting: why (Priority)"),
        ("Licenses", 1_795_357_740, "Waiting: why (Licenses); expected to start about 2026-11-22 14:29 UTC"),
        ("Licenses", 1_795_357_741, "Waiting: why (Licenses); expected to start about 2026-11-22 14:30 UTC"),
        ("BeginTime", 1_795_357_800, "Waiting: why (BeginTime); not before 2026-11-22 14:30 UTC"),
    ],
)
def test_a_user_reads_why_and_until_when(name: str, start: int | None, message: str) -> None:
    assert waiting_message("why", name, start) == message


def test_a_reason_is_told_once_two_looks_have_seen_it() -> None:
    life = Life()
    life.look(waits("None"), at=NOW)
    life.look(waits("Resources"), at=NOW + 5)
    life.look(waits("Priority"), at=NOW + 10)
    assert life.messages == []
    for tick in range(20):
        life.look(waits("Priority"), at=NOW + 15 + 5 * tick)
    assert life.messages == ["Waiting: other jobs are ahead in the queue (Priority)"]
    assert life.told == []


def test_an_estimate_is_told_when_slurm_makes_one_and_when_it_moves_much() -> None:
    life = Life()
    at = NOW
    for start in (0, 0, *[START] * 30, *[START + 600] * 30, *[START + 3600] * 30, *[0] * 30):
        life.look(waits(start=start), at=at)
        at += 5
    assert [message.partition("; ")[2] for message in life.messages] == [
        "",
        "expected to start about 2027-01-15 10:00 UTC",
        "expected to start about 2027-01-15 11:00 UTC",
    ]


def test_of_a_job_that_has_waited_for_seconds_only_an_estimate_is_told() -> None:
    life = Life()
    for tick in range(8):
        life.look(waits(), at=SUBMITTED_AT + 3 * tick)
    assert life.messages == []
    life.look(waits(start=SUBMITTED_AT + 600), at=SUBMITTED_AT + 24)
    assert len(life.messages) == 1


def test_a_user_is_told_at_most_once_a_minute() -> None:
    life = Life()
    for tick in range(120):
        life.look(waits(("Priority", "Resources")[tick // 2 % 2]), at=NOW + tick)
    assert len(life.messages) == 2


def test_an_estimate_that_has_passed_is_not_told() -> None:
    life = Life()
    for tick in range(3):
        life.look(waits(start=NOW - 60), at=NOW + tick)
    assert life.messages == ["Waiting: other jobs are ahead in the queue (Priority)"]


def test_a_job_that_is_about_to_be_ended_is_not_said_to_wait() -> None:
    life = Life(wished_state=JobState.SUCCESS)
    for tick in range(3):
        life.look(waits(), at=NOW + tick)
    assert life.messages == []


def test_a_job_that_is_requeued_waits_anew() -> None:
    life = Life()
    for tick in range(2):
        life.look(waits(), at=NOW + tick)
    life.look(live("RUNNING"), at=NOW + 100)
    again = waits()
    again.submit_time = SUBMITTED_AT + 500
    for tick in range(3):
        life.look(again, [record("REQUEUED", elapsed=30)], at=NOW + 200 + tick)
    assert [message.split()[0] for message in life.messages] == ["Waiting:", "The", "Slurm", "Waiting:"]
