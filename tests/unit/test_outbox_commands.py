"""`outbox` and `backup`: an admin sees and decides what Core is told, and copies the job map in use."""

import json
import sqlite3
import stat
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from slurm_provider.cli import app
from slurm_provider.jobmap import JobChange, JobMap, Outbox, OutboxKind, UserMapping
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import config_file, job


@pytest.fixture
def config(tmp_path: Path) -> str:
    return str(config_file(tmp_path))


@pytest.fixture
def jobmap(tmp_path: Path) -> JobMap:
    """A job map in which Core has refused one update, and another waits."""
    jobmap = JobMap(tmp_path / "jobs.db", time.time)
    row = job()
    updates = [JobUpdate(state=JobState.RUNNING, status="first"), JobUpdate(status="second")]
    jobmap.add_jobs([(row, JobChange(row.job_id, updates=updates))])
    first, _ = jobmap.outbox.undelivered(10)
    jobmap.outbox.refused([first], "404: no such job")
    return jobmap


def run(*arguments: str, config: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", config], catch_exceptions=False)


def waiting(outbox: Outbox) -> list[int]:
    return [item.id for item in outbox.deliverable(OutboxKind.UPDATE, 10)]


def test_what_waits_and_what_was_refused_is_listed_in_order(jobmap: JobMap, config: str) -> None:
    listed = json.loads(run("outbox", "ls", "--json", config=config).stdout)
    assert [(row["id"], row["status"], row["tries"], row["last_error"]) for row in listed] == [
        (1, "refused", 1, "404: no such job"),
        (2, "waiting", 0, None),
    ]
    assert listed[1]["body"]["update"]["status"] == "second"
    table = run("outbox", "ls", config=config).stdout
    assert "status=first" in table
    assert "404: no such job" in table


def test_a_refused_item_is_sent_again_and_before_what_came_after_it(jobmap: JobMap, config: str) -> None:
    assert run("outbox", "retry", "1", config=config).stdout == "item 1 is sent again\n"
    assert waiting(jobmap.outbox) == [1, 2]
    again = run("outbox", "retry", "1", "7", config=config)
    assert again.exit_code == 1
    assert "item 1, 7 has not been refused" in again.stderr


def test_a_dropped_item_is_not_sent_until_it_is_taken_back(jobmap: JobMap, config: str) -> None:
    assert run("outbox", "drop", "2", config=config).exit_code == 0
    assert waiting(jobmap.outbox) == []
    assert run("outbox", "drop", "2", config=config).exit_code == 1
    assert json.loads(run("outbox", "ls", "--json", config=config).stdout)[1]["last_error"] == (
        "dropped by an administrator"
    )
    assert run("outbox", "retry", "2", config=config).exit_code == 0
    assert waiting(jobmap.outbox) == [2]


def test_what_core_has_taken_can_be_neither_dropped_nor_sent_again(jobmap: JobMap, config: str) -> None:
    jobmap.outbox.delivered(jobmap.outbox.undelivered(10))
    assert run("outbox", "drop", "2", config=config).exit_code == 1
    assert run("outbox", "retry", "2", config=config).exit_code == 1


def test_a_copy_is_whole_while_the_job_map_is_written_to(jobmap: JobMap, config: str, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        writer = JobMap(tmp_path / "jobs.db", time.time)
        number = 0
        while not stop.is_set():
            writer.map_user(UserMapping(f"user-{number}", "alice", "users"))
            number += 1
        writer.close()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        target = tmp_path / "copy.db"
        assert run("backup", str(target), config=config).exit_code == 0
    finally:
        stop.set()
        writing.join()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM outbox").fetchone() == (2,)
        names = [name for (name,) in copy.execute("SELECT ucloud_user FROM users ORDER BY rowid")]
    assert names == [f"user-{number}" for number in range(len(names))]
    assert [path.name for path in tmp_path.glob("*copy*")] == ["copy.db"]


def test_a_copy_replaces_nothing_and_leaves_nothing_unfinished(
    jobmap: JobMap, config: str, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    refused = run("backup", str(target), config=config)
    assert (refused.exit_code, "is there already" in refused.stderr) == (1, True)
    assert target.read_text() == "precious"
    nowhere = run("backup", str(tmp_path / "nowhere/copy.db"), config=config)
    assert (nowhere.exit_code, "No such file or directory" in nowhere.stderr) == (1, True)
    for path in tmp_path.glob("jobs.db*"):
        path.unlink()
    (tmp_path / "jobs.db").write_bytes(b"no database" * 1000)
    broken = run("backup", str(tmp_path / "other.db"), config=config)
    assert (broken.exit_code, "could not be copied" in broken.stderr) == (1, True)
    assert [path.name for path in tmp_path.glob("*other*")] == []
