"""The job map: one file, every method one transaction."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from sqlite_utils.db import NotFoundError

from slurm_provider.jobmap import (
    Attempt,
    Charge,
    Door,
    JobChange,
    JobMap,
    OutboxKind,
    Submission,
    UnmappedError,
    UserMapping,
)
from slurm_provider.jobmap.schema import migrations
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import SLURM_ID, job

NOW = 5_000.5
CHARGE = Charge("example-54112-0-15", "54112", 0, 15, 2)
RUNNING = JobUpdate(state=JobState.RUNNING, status="running")
MAP_MANY = """
import sys, time
from slurm_provider.jobmap import JobMap, UserMapping
jobmap = JobMap(sys.argv[1], time.time)
for number in range(int(sys.argv[3])):
    jobmap.map_user(UserMapping(f"{sys.argv[2]}-{number}", "alice", "users"))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def jobmap(path: Path) -> Iterator[JobMap]:
    opened = JobMap(path, lambda: NOW)
    yield opened
    opened.close()


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def attempt(submit_time: int, **changes: Any) -> Attempt:
    facts: dict[str, Any] = {
        "state": "RUNNING",
        "start_time": 1,
        "end_time": 0,
        "elapsed_seconds": 5,
        "exit_code": 0,
    }
    facts |= {"exit_signal": 0, "node_list": "n1"}
    return Attempt(job_id="54112", slurm_id=SLURM_ID, submit_time=submit_time, **facts | changes)


def mapping_program(path: Path, prefix: str, users: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAP_MANY, str(path), prefix, str(users)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_a_job_comes_back_as_it_was_written(jobmap: JobMap) -> None:
    row = job(project="p", time_limit_seconds=60, wished_state=JobState.FAILURE, wished_message="é'\n")
    jobmap.add_jobs([(row, JobChange("54112"))])
    assert jobmap.job("54112") == row
    assert jobmap.job("other") is None
    again = jobmap.job("54112")
    assert again is not None
    assert isinstance(again.submission, Submission)
    assert isinstance(again.wished_state, JobState)


def test_a_file_that_is_opened_again_is_migrated_once_and_keeps_everything(path: Path) -> None:
    applied = set()
    for _ in range(3):
        jobmap = JobMap(path, lambda: NOW)
        applied.add(count(path, "_sqlite_migrations"))
        jobmap.add_jobs([(job(), JobChange("54112"))])
        jobmap.close()
    assert len(applied) == 1
    assert count(path, "jobs") == 1


def test_programs_that_open_a_new_file_at_the_same_time_all_find_it_migrated(path: Path) -> None:
    programs = [mapping_program(path, f"program{number}", 1) for number in range(6)]
    complaints = [program.communicate(timeout=60)[1] for program in programs]
    assert complaints == [""] * 6
    assert count(path, "users") == 6


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (JobChange("54112", {"no_such_column": 1}), sqlite3.OperationalError),
        (JobChange("unknown", {"state": JobState.RUNNING}), NotFoundError),
        (JobChange("54112", charges=[Charge("other", "unknown", 0, 1, 1)]), sqlite3.IntegrityError),
    ],
    ids=["a column that is not there", "a job that is not there", "a charge of a job that is not there"],
)
def test_an_error_in_the_middle_leaves_nothing(
    jobmap: JobMap, path: Path, bad: JobChange, error: type[Exception]
) -> None:
    jobmap.add_jobs([(job(), JobChange("54112"))])
    good = JobChange("54112", {"state": JobState.RUNNING}, [attempt(1)], [RUNNING], [CHARGE])
    with pytest.raises(error):
        jobmap.apply([good, bad])
    assert jobmap.job("54112") == job()
    assert [count(path, table) for table in ("attempts", "charges", "outbox")] == [0, 0, 0]
    jobmap.apply([good])
    assert [count(path, table) for table in ("attempts", "charges", "outbox")] == [1, 1, 2]


def test_a_change_is_seen_by_others_as_a_whole_or_not_at_all(jobmap: JobMap, path: Path) -> None:
    jobmap.add_jobs([(job(), JobChange("54112"))])
    jobmap.apply([JobChange("54112", updates=[RUNNING]), JobChange("54112", charges=[CHARGE])])
    with sqlite3.connect(path) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM outbox").fetchone()
        jobmap.tell("54112", RUNNING)
        assert reader.execute("SELECT count(*) FROM outbox").fetchone() == before == (2,)


def test_adding_a_known_job_changes_nothing(jobmap: JobMap) -> None:
    jobmap.add_jobs([(job(), JobChange("54112", updates=[RUNNING]))])
    jobmap.apply([JobChange("54112", {"state": JobState.RUNNING})])
    jobmap.add_jobs([(job(local_user="mallory"), JobChange("54112", {"tries": 9}, updates=[RUNNING]))])
    assert jobmap.job("54112") == job(state=JobState.RUNNING)
    assert len(jobmap.outbox.undelivered(10)) == 1


def test_a_charge_is_posted_once(jobmap: JobMap) -> None:
    jobmap.add_jobs([(job(), JobChange("54112", charges=[CHARGE]))])
    jobmap.apply([JobChange("54112", charges=[CHARGE]), JobChange("54112", charges=[CHARGE])])
    [item] = jobmap.outbox.undelivered(10)
    assert item.kind is OutboxKind.CHARGE
    assert '"units":15,"periods":2' in item.body


def test_an_attempt_is_one_row_however_often_it_is_seen(jobmap: JobMap) -> None:
    jobmap.add_jobs([(job(), JobChange("54112", attempts=[attempt(20), attempt(10)]))])
    jobmap.apply([JobChange("54112", attempts=[attempt(10, elapsed_seconds=9)])])
    assert jobmap.attempts("hpc") == {"54112": [attempt(10, elapsed_seconds=9), attempt(20)]}
    assert jobmap.attempts("other") == {}


def test_only_jobs_whose_end_has_not_been_told_are_open(jobmap: JobMap) -> None:
    jobs = [job(job_id=state, state=state) for state in JobState]
    jobmap.add_jobs([(row, JobChange(row.job_id)) for row in jobs])
    jobmap.add_jobs([(job(job_id="elsewhere", cluster="other"), JobChange("elsewhere"))])
    assert {row.state for row in jobmap.open_jobs("hpc")} == {
        state for state in JobState if not state.is_final
    }


def test_the_outbox_gives_the_oldest_first_and_each_until_it_is_taken_or_refused(jobmap: JobMap) -> None:
    for number in range(5):
        jobmap.tell(f"job-{number % 2}", JobUpdate(status=str(number)))
    first, second, third, *_ = items = jobmap.outbox.undelivered(10)
    assert [item.id for item in items] == sorted(item.id for item in items)
    assert [item.job_id for item in jobmap.outbox.undelivered(3)] == ["job-0", "job-1", "job-0"]
    jobmap.outbox.delivered([first])
    jobmap.outbox.refused([second], "404")
    jobmap.outbox.not_delivered([third], "down")
    assert [(item.id, item.tries) for item in jobmap.outbox.undelivered(10)] == [
        (third.id, 1),
        *((item.id, 0) for item in items[3:]),
    ]
    history = jobmap.history("job-1")["outbox"]
    assert (history[0]["refused_at"], history[0]["last_error"]) == (5000, "404")
    assert history[0]["body"]["update"]["status"] == "1"


def test_a_cluster_is_known_from_the_first_time_on(path: Path) -> None:
    clock = iter([100, 200, 300])
    jobmap = JobMap(path, lambda: next(clock))
    assert jobmap.cluster("hpc").known_since == 100
    jobmap.set_limits("hpc", "{}")
    jobmap.set_accounting_watermark("hpc", 150)
    row = jobmap.cluster("hpc")
    assert (row.known_since, row.accounting_watermark, row.limits) == (100, 150, "{}")
    jobmap.close()


def test_an_owner_is_a_local_user_and_an_account(jobmap: JobMap) -> None:
    jobmap.map_user(UserMapping("user", "old", "users"))
    jobmap.map_user(UserMapping("user", "alice", "users"))
    jobmap.map_project("bio-project", "bio")
    assert jobmap.local_identity("user", None) == ("alice", "users")
    assert jobmap.local_identity("user", "bio-project") == ("alice", "bio")
    for owner, named in ((("nobody", None), "nobody"), (("user", "chemistry"), "chemistry")):
        with pytest.raises(UnmappedError, match=named):
            jobmap.local_identity(*owner)
    assert (jobmap.unmap("user"), jobmap.unmap("user")) == (0, None)
    with pytest.raises(UnmappedError):
        jobmap.local_identity("user", None)


def test_people_can_read_the_overview_with_sqlite_alone(jobmap: JobMap, path: Path) -> None:
    row = job(submitted_at=0, started_at=60, message="m", wished_message="w", slurm_state="RUNNING")
    jobmap.add_jobs([(row, JobChange("54112", charges=[CHARGE]))])
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        [shown] = db.execute("SELECT * FROM jobs_overview").fetchall()
    assert (shown["job_id"], shown["user"], shown["product"]) == (
        "54112",
        "user",
        "example-compute/example-compute-1",
    )
    assert (shown["started"], shown["ended"]) == ("1970-01-01 00:01:00", None)
    assert (shown["charged"], shown["message"]) == (30, "w")
    assert jobmap.overview("54112") == [dict(shown)]


async def test_the_command_line_can_map_users_while_the_door_writes(path: Path) -> None:
    door = await Door.open(path, lambda: NOW)
    program = mapping_program(path, "user", 100)
    written = 0
    while program.poll() is None or written < 100:
        await door.call(JobMap.tell, "54112", RUNNING)
        written += 1
    await door.close()
    assert program.communicate()[1] == ""
    assert (count(path, "users"), count(path, "outbox")) == (100, written)


async def test_all_calls_through_a_door_are_made_in_one_thread(path: Path) -> None:
    door = await Door.open(path, lambda: NOW)
    threads = {await door.call(lambda _: threading.current_thread().name) for _ in range(10)}
    await door.close()
    assert len(threads) == 1
    assert threads != {threading.main_thread().name}


async def test_an_error_behind_the_door_comes_out_of_it(path: Path) -> None:
    door = await Door.open(path, lambda: NOW)
    with pytest.raises(UnmappedError, match="nobody"):
        await door.call(JobMap.local_identity, "nobody", None)
    assert await door.call(JobMap.job, "54112") is None
    await door.close()


NEW_COLUMNS = {
    *("unit_price", "restart", "allow_restart", "restart_offered"),
    *("waiting_reason", "waiting_until", "waiting_told_at"),
}
"""What the first release did not know of a job."""


def test_a_file_of_the_first_release_is_kept_whole(path: Path) -> None:
    db = Database(sqlite3.connect(path, isolation_level=None))
    migrations.apply(db, stop_before="m003_usage_reports")
    living = job(state=JobState.RUNNING, project="p", charged_units=15, elapsed_seconds=959, started_at=1)
    ended = job(job_id="1", slurm_id=1, state=JobState.EXPIRED, message="é'", ended_at=2, folder="/f")
    old: dict[str, list[dict[str, Any]]] = {
        "users": [{"ucloud_user": "user", "local_user": "alice", "account": "users"}],
        "projects": [{"project": "p", "account": "bio"}],
        "clusters": [{"cluster": "hpc", "known_since": 5, "accounting_watermark": 6, "limits": "{}"}],
        "jobs": [_without(asdict(row), NEW_COLUMNS) for row in (living, ended)],
        "attempts": [_without(asdict(attempt(10)), {"restart"})],
        "charges": [_without(asdict(CHARGE), {"restart"}) | {"created_at": 3}],
        "outbox": [
            {"id": 7, "job_id": "54112", "kind": "charge", "body": "{}", "created_at": 1, "tries": 2}
            | {"last_error": error, "delivered_at": delivered_at, "refused_at": refused_at}
            | changes
            for error, delivered_at, refused_at, changes in (
                (None, 4, None, {"id": 3, "kind": "update"}),
                ("404", None, 4, {"id": 5, "kind": "update"}),
                ("down", None, None, {}),
            )
        ],
    }
    for table, rows in old.items():
        db.table(table).insert_all(rows)
    db.close()

    jobmap = JobMap(path, lambda: NOW)
    assert [jobmap.job(row.job_id) for row in (living, ended)] == [living, ended]
    assert jobmap.open_jobs("hpc") == [living]
    assert jobmap.attempts("hpc") == {"54112": [attempt(10)]}
    [item] = jobmap.outbox.undelivered(10)
    assert (item.id, item.job_id, item.kind, item.tries) == (7, "54112", OutboxKind.CHARGE, 2)
    jobmap.tell("54112", RUNNING)
    assert [item.id for item in jobmap.outbox.undelivered(10)] == [7, 8]
    jobmap.apply([JobChange("54112", charges=[CHARGE])])
    assert jobmap.overview("54112")[0]["charged"] == 30
    jobmap.close()
    with sqlite3.connect(path) as read:
        read.row_factory = sqlite3.Row
        for table, rows in old.items():
            kept = [dict(row) for row in read.execute(f"SELECT * FROM {table}")]
            for row in rows:
                assert any(row.items() <= one.items() for one in kept), (table, row)


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
