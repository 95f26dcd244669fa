"""What the commands print is what the job map holds."""

import time
from pathlib import Path

from typer.testing import CliRunner

from slurm_provider.cli import app
from slurm_provider.jobmap import JobChange, JobMap, UserMapping
from slurm_provider.ucloud.control import JobUpdate
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


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout
