"""What the commands print is what the job map holds."""

import time
from pathlib import Path

from typer.testing import CliRunner

from slurm_provider.cli import app
from slurm_provider.jobmap import JobChange, JobMap, Session, SessionKind, UserMapping
from slurm_provider.jobmap.sessions import new_secret
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import config_file, job

MESSAGE = "/123/[/x] [bold]is[/bold] :smile: no file"


def test_brackets_in_messages_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    config = str(config_file(tmp_path))
    jobmap = JobMap(tmp_path / "jobs.db", time.time)
    row = job(message=MESSAGE, ucloud_user="[/red]", node_list="n[1-2]")
    jobmap.add_jobs([(row, JobChange(row.job_id, updates=[JobUpdate(status=MESSAGE)]))])
    jobmap.map_user(UserMapping("[/red]", "alice", "[/x]"))
    shown = _run("jobs", "show", row.job_id, "--config", config)
    assert shown.count(MESSAGE) == 2
    assert "user             [/red]" in shown
    listed = _run("jobs", "ls", "--config", config)
    assert "[/red]" in listed
    assert "n[1-2]" in listed
    assert "[/x]" in _run("users", "ls", "--config", config)
    assert "[/p] is the local user" in _run("users", "map", "[/p]", "bob", "--config", config)
    assert "[/p] is no longer mapped" in _run("users", "rm", "[/p]", "--config", config)


def test_nothing_that_is_printed_can_command_the_terminal(tmp_path: Path) -> None:
    config = str(config_file(tmp_path))
    jobmap = JobMap(tmp_path / "jobs.db", time.time)
    evil = "a\x1b]0;title\x07\x9b2J\r\n\u202eb"
    row = job(message=evil, ucloud_user=evil, node_list=evil, state=JobState.RUNNING)
    jobmap.add_jobs([(row, JobChange(row.job_id, updates=[JobUpdate(status=evil)]))])
    jobmap.map_user(UserMapping(evil, evil, evil))
    jobmap.map_project(evil, evil)
    session = Session(SessionKind.SHELL, evil, "hpc", evil, row.job_id, rank=0, expires_at=2**33)
    number = jobmap.sessions.open(new_secret(), session, most=1).number
    jobmap.sessions.used(number, evil, 2**33)
    jobmap.sessions.close(evil, number=number)
    for command in ("jobs ls", f"jobs show {row.job_id}", "users ls", "sessions ls --all", "outbox ls"):
        printed = _run(*command.split(), "--config", config)
        assert "\N{REPLACEMENT CHARACTER}" in printed
        assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(printed)


def test_whoever_removes_a_user_is_told_which_sessions_were_closed(tmp_path: Path) -> None:
    config = str(config_file(tmp_path))
    jobmap = JobMap(tmp_path / "jobs.db", time.time)
    jobmap.add_jobs([(row := job(state=JobState.RUNNING), JobChange("54112"))])
    jobmap.map_user(UserMapping("user", "alice", "users"))
    session = Session(SessionKind.SHELL, "user", "hpc", "alice", row.job_id, rank=0, expires_at=2**33)
    jobmap.sessions.open(new_secret(), session, most=1)
    assert "1 session is closed" in _run("users", "rm", "user", "--config", config)
    ended = _run("sessions", "ls", "--all", "--config", config)
    assert "the user is no longer mapped" in ended


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
