"""The job map's file: what cannot be opened is left as it is, and said in words."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slurm_provider.cli import app
from slurm_provider.jobmap import JobMap
from slurm_provider.jobmap.file import JobMapUnusable
from tests.unit.builders import config_file


def test_the_job_map_of_a_newer_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    JobMap(path, time.time).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        newer.execute("DELETE FROM _sqlite_migrations WHERE name = 'm002_overview'")
        newer.execute("DROP VIEW jobs_overview")
        newer.execute("INSERT INTO _sqlite_migrations VALUES (9999, 'jobmap', 'm999_future', '2030')")
    with pytest.raises(JobMapUnusable, match=r"belongs to a newer release.*\(m999_future\).*backup"):
        JobMap(path, time.time)
    with closing(sqlite3.connect(path)) as kept:
        views = kept.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall()
    assert views == []


@pytest.mark.parametrize("broken", ["no database" * 1000, None], ids=["no database", "a folder"])
def test_a_job_map_that_is_none_is_told_in_words_at_the_command_line(
    tmp_path: Path, broken: str | None
) -> None:
    config = config_file(tmp_path)
    path = tmp_path / "jobs.db"
    if broken is None:
        path.mkdir()
    else:
        path.write_text(broken)
    result = CliRunner().invoke(app, ["jobs", "ls", "--config", str(config)], catch_exceptions=False)
    assert result.exit_code == 1
    assert f"the job map {path} cannot be opened" in result.stderr
