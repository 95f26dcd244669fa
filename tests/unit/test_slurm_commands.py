"""What Slurm's commands print, as it was recorded, and what is made of it."""

from pathlib import Path
from typing import Any

import pytest

from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.slurm.admin_level import SacctmgrShowAdminLevel
from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable
from slurm_provider.slurm.limits import SacctmgrShowAssociations, SacctmgrShowQos, ScontrolShowPartition
from slurm_provider.slurm.sacct import Sacct
from slurm_provider.slurm.scancel import Scancel
from slurm_provider.slurm.squeue import Squeue

DATA = Path(__file__).parents[1] / "data/slurm"
TAG = "uc-54112-0123456789abcdef0123456789abcdef"
OTHER_TAG = "uc-54113-0123456789abcdef0123456789abcdef"
SUBMIT = 1795308593
SEPARATOR = "\x1f5e4d"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_bytes().decode(errors="surrogateescape")


def said(name: str) -> Outcome:
    return Outcome(0, recorded(name), "")


def failed(name: str, returncode: int = 1) -> Outcome:
    return Outcome(returncode, "", recorded(f"{name}.stderr"))


def live_jobs(name: str = "squeue") -> list[LiveJob]:
    return Squeue(SEPARATOR).parse(said(name))


def records(name: str = "sacct") -> list[AccountingRecord]:
    return Sacct(0).parse(said(name))


def test_squeue_is_asked_for_all_jobs_of_all_users_and_states() -> None:
    argv = Squeue(SEPARATOR).argv()
    assert argv[:5] == ["squeue", "--noheader", "--all", "--states=all", "--array"]
    assert not any(word.startswith("--name") for word in argv)
    assert "--name=uc-1" in Squeue(SEPARATOR, name="uc-1").argv()


def test_sacct_is_asked_for_every_attempt_from_a_start_in_utc() -> None:
    argv = Sacct(86400).argv()
    assert {"--allusers", "--allocations", "--duplicates", "--noheader"} < set(argv)
    assert "--starttime=1970-01-02T00:00:00" in argv
    assert not any(word.startswith(("--jobs", "--name")) for word in argv)
    asked = Sacct(0, slurm_ids=[5, 7], name=TAG).argv()
    assert "--jobs=5,7" in asked
    assert f"--name={TAG}" in asked


def test_squeue_shows_each_job_with_its_state_and_why_it_waits() -> None:
    assert {(job.slurm_id, job.state, job.reason) for job in live_jobs()} == {
        (73, "COMPLETED", ""),
        (74, "FAILED", "NonZeroExitCode"),
        (75, "FAILED", "JobLaunchFailure"),
        (76, "CANCELLED", ""),
        (77, "CANCELLED", ""),
        (78, "RUNNING", ""),
        (79, "FAILED", "JobLaunchFailure"),
        (80, "RUNNING", ""),
        (81, "RUNNING", ""),
        (82, "SUSPENDED", ""),
        (83, "PENDING", "JobHeldUser"),
        (84, "PENDING", "BeginTime"),
        (85, "PENDING", "Dependency"),
        (86, "PENDING", "PartitionTimeLimit"),
        (87, "PENDING", "PartitionNodeLimit"),
        (88, "RUNNING", ""),
        (93, "PENDING", "JobArrayTaskLimit"),
        (94, "RUNNING", ""),
        (95, "RUNNING", ""),
        (97, "PENDING", "BeginTime"),
        (96, "RUNNING", ""),
    }


@pytest.mark.parametrize(
    ("slurm_id", "expected"),
    [
        (80, {"name": TAG, "comment": TAG, "user": "alice", "account": "users", "node_list": "n2"}),
        (80, {"submit_time": SUBMIT, "start_time": SUBMIT, "time_limit_seconds": 300, "folder": "/tmp"}),
        (81, {"name": "my-own-name", "comment": OTHER_TAG}),
        (84, {"start_time": SUBMIT + 3600, "node_list": "", "comment": ""}),
        (86, {"start_time": 0, "partition": "short", "time_limit_seconds": 3600}),
        (88, {"name": "a b'c\"d|e", "comment": "a | b \"c\" 'd' \\ é 漢 %s (null)"}),
        (97, {"submit_time": SUBMIT + 4}),
    ],
)
def test_a_row_of_squeue_is_read_as_it_is(slurm_id: int, expected: dict[str, Any]) -> None:
    job = next(job for job in live_jobs() if job.slurm_id == slurm_id)
    assert {name: getattr(job, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("slurm_id", "expected"),
    [
        (73, {"state": "COMPLETED", "exit_code": 0, "exit_signal": 0, "elapsed_seconds": 0}),
        (73, {"submit_time": SUBMIT, "start_time": SUBMIT, "end_time": SUBMIT, "node_list": "n1"}),
        (74, {"state": "FAILED", "exit_code": 3, "exit_signal": 0}),
        (75, {"state": "FAILED", "exit_code": 0, "exit_signal": 9}),
        (76, {"state": "CANCELLED", "cancelled_by_uid": 1001, "elapsed_seconds": 4}),
        (77, {"state": "CANCELLED", "cancelled_by_uid": 0, "account": "bio"}),
        (78, {"state": "TIMEOUT", "elapsed_seconds": 81}),
        (79, {"state": "FAILED", "exit_code": 0, "exit_signal": 53}),
        (80, {"name": TAG}),
        (81, {"name": "my-own-name"}),
        (82, {"state": "CANCELLED", "elapsed_seconds": 9}),
        (83, {"state": "CANCELLED", "start_time": 0, "end_time": SUBMIT + 103, "node_list": ""}),
        (84, {"state": "PENDING", "start_time": 0, "end_time": 0, "elapsed_seconds": 0, "node_list": ""}),
        (88, {"name": "a b'c`d|e"}),
        (94, {"state": "RUNNING", "end_time": 0}),
    ],
)
def test_a_row_of_sacct_is_read_as_it_is(slurm_id: int, expected: dict[str, Any]) -> None:
    record = next(record for record in records() if record.slurm_id == slurm_id)
    assert {name: getattr(record, name) for name in expected} == expected


def test_who_cancelled_is_only_known_where_slurm_says_so() -> None:
    known = {record.slurm_id for record in records() if record.HasField("cancelled_by_uid")}
    assert known == {76, 77, 80, 81, 82, 83, 88, 97}


def test_a_requeued_job_has_a_record_for_each_attempt() -> None:
    attempts = [(r.state, r.submit_time, r.elapsed_seconds) for r in records() if r.slurm_id == 97]
    assert attempts == [("REQUEUED", SUBMIT, 1), ("CANCELLED", SUBMIT + 4, 4)]


def test_what_a_user_writes_into_a_job_neither_hides_nor_forges_a_row_of_squeue() -> None:
    jobs = {job.slurm_id: job for job in live_jobs("squeue-odd-texts")}
    assert list(jobs) == [94, 88, 89, 90, 91, 92]
    assert {job.user for job in jobs.values()} == {"alice"}
    assert jobs[89].comment == "first line\nsecond line\n"
    assert jobs[90].name == "na\nme"
    assert jobs[91].comment == "x\x1fy"
    assert jobs[92].comment.startswith("x\n999\x1fbob\x1fCOMPLETED\x1f")


def test_what_a_user_writes_into_a_job_neither_hides_nor_forges_a_row_of_sacct() -> None:
    found = records("sacct-odd-texts")
    assert [record.slurm_id for record in found] == [82, 83, 84, 85, 86, 87]
    assert {(record.user, record.state) for record in found} == {("alice", "COMPLETED")}
    assert [record.name for record in found][1:4] == [
        "na\nmé",
        "x\x1fy",
        "x\n        999             bob  COMPLETED",
    ]
    # Of names that are too long, also of such that are cut within a character, the beginning is seen.
    assert found[4].name.startswith("x" * 100)
    assert found[5].name.startswith("ünï" * 20)


def test_the_separator_ends_every_column_of_squeue_and_stands_where_nobody_sees_it() -> None:
    columns = Squeue("SEP").environment()["SQUEUE_FORMAT2"].split(",")
    assert columns[0] == "JobID:0SEP"
    assert all(column.endswith(":0SEP") for column in columns)
    assert not any("SEP" in word for word in Squeue("SEP").argv())


def test_the_limits_of_partitions_are_read() -> None:
    partitions = {p.name: p for p in ScontrolShowPartition().parse(said("scontrol-show-partition"))}
    assert {name: p.max_time_seconds for name, p in partitions.items()} == {
        "main": 86400,
        "short": 300,
        "wide": 86400,
    }
    main = partitions["main"]
    assert (main.max_nodes, main.total_nodes) == (0, 4)
    assert (list(main.allow_accounts), list(main.allow_qos)) == ([], [])


def test_the_limits_of_qos_are_read() -> None:
    qos = SacctmgrShowQos().parse(said("sacctmgr-show-qos"))
    assert [(q.name, q.max_wall_seconds) for q in qos] == [("normal", 0), ("preemptible", 0), ("brief", 600)]


def test_the_associations_of_users_are_read() -> None:
    found = SacctmgrShowAssociations("hpc").parse(said("sacctmgr-show-associations"))
    assert ("users", "alice") in {(a.account, a.user) for a in found}
    assert all(a.user for a in found)
    alice = next(a for a in found if (a.account, a.user) == ("bio", "alice"))
    assert set(alice.qos) == {"normal", "preemptible", "brief"}


UNAVAILABLE: list[tuple[SlurmCommand[Any], Outcome, str]] = [
    (Squeue(SEPARATOR), failed("squeue-down"), "Unable to contact slurm controller"),
    (Squeue(SEPARATOR), failed("squeue-hung"), "Socket timed out"),
    (Squeue(SEPARATOR), failed("squeue-nomunge"), "authentication error"),
    (Squeue(SEPARATOR), Outcome(None, recorded("squeue"), ""), "no answer in time"),
    (Sacct(0), failed("sacct-nodbd"), "Connection refused"),
    (Sacct(0), Outcome(-9, recorded("sacct"), ""), "exit code -9"),
    (ScontrolShowPartition(), failed("scontrol-down"), "Unable to contact"),
    (SacctmgrShowQos(), failed("sacctmgr-nodbd"), "Connection refused"),
    (SacctmgrShowAssociations("hpc"), failed("sacctmgr-nodbd"), "Connection refused"),
    (Scancel(12), failed("scancel-down", 8), "Unable to contact"),
    (Scancel(12), failed("scancel-hung", 140), "Socket timed out"),
    (Scancel(12), failed("scancel-not-owner", 210), "permission denied"),
    (Scancel(12), Outcome(127, "", "scancel: No such file or directory"), "No such file"),
    (Scancel(12), Outcome(None, "", ""), "no answer in time"),
    (Squeue(SEPARATOR), Outcome(0, recorded("squeue")[:-80], ""), "within a row"),
    (Sacct(0), Outcome(0, recorded("sacct")[:-80], ""), "within a row"),
    (SacctmgrShowQos(), Outcome(0, "normal|||\nbrief|00:1", ""), "within a row"),
    (SacctmgrShowAssociations("hpc"), Outcome(0, "users|alice||normal", ""), "within a row"),
    (Squeue("another"), said("squeue"), "within a row"),
]


@pytest.mark.parametrize(("command", "outcome", "words"), UNAVAILABLE)
def test_of_an_incomplete_answer_nothing_is_concluded(
    command: SlurmCommand[Any], outcome: Outcome, words: str
) -> None:
    with pytest.raises(SlurmUnavailable, match=words):
        command.parse(outcome)


def test_an_empty_queue_is_an_answer() -> None:
    assert Squeue(SEPARATOR).parse(Outcome(0, "", "")) == []
    assert Sacct(0).parse(Outcome(0, "", "slurm_load: a warning")) == []


@pytest.mark.parametrize("outcome", [Outcome(0, "", ""), failed("scancel-ended"), failed("scancel-ended", 0)])
def test_a_job_that_has_ended_already_counts_as_cancelled(outcome: Outcome) -> None:
    Scancel(5).parse(outcome)
    assert Scancel(5).argv() == ["scancel", "5"]


def test_requeued_held_and_stopped_jobs_are_shown_with_their_restarts() -> None:
    found = {job.slurm_id: (job.state, job.reason, job.restarts) for job in live_jobs("squeue-requeued")}
    assert found == {
        77: ("PENDING", "BeginTime", 1),
        78: ("PENDING", "job requeued in held state", 1),
        79: ("SPECIAL_EXIT", "job requeued in held state", 1),
        80: ("STOPPED", "", 0),
    }


def test_the_attempt_before_a_requeue_has_ended() -> None:
    ended = [(r.slurm_id, r.state, r.elapsed_seconds) for r in records("sacct-requeued") if r.end_time]
    assert ended == [(77, "REQUEUED", 2), (78, "REQUEUED", 2), (79, "REQUEUED", 2)]


@pytest.mark.parametrize(
    ("state", "derived", "out_of_memory"),
    [
        ("OUT_OF_MEMORY", "0:0", True),
        ("FAILED", "0:125", True),
        ("FAILED", "0:9", False),
        ("FAILED", "", False),
    ],
)
def test_a_step_that_was_killed_for_want_of_memory_shows_in_its_job(
    state: str, derived: str, out_of_memory: bool
) -> None:
    row = recorded("sacct").splitlines(keepends=True)[0]
    row = row[:78] + state.rjust(40) + row[118:128] + derived.rjust(8) + row[136:]
    [record] = Sacct(0).parse(Outcome(0, row, ""))
    assert (record.state, record.out_of_memory) == (state, out_of_memory)


@pytest.mark.parametrize(("stdout", "level"), [("Operator\n", "Operator"), ("None\n", "None"), ("", "")])
def test_a_users_admin_level_is_slurms_word_or_nothing(stdout: str, level: str) -> None:
    assert SacctmgrShowAdminLevel("svc").parse(Outcome(0, stdout, "")) == level
    with pytest.raises(SlurmUnavailable):
        SacctmgrShowAdminLevel("svc").parse(Outcome(1, stdout, "sacctmgr: error: slurmdbd is down"))
