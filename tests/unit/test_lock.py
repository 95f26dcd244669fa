"""One façade on a job map."""

from pathlib import Path

import pytest

from slurm_provider.facade.lock import JobMapInUse, sole_user


def test_a_job_map_has_one_user_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    with sole_user(path):
        with pytest.raises(JobMapInUse, match="another slurm-provider serve uses this job map"):  # noqa: SIM117
            with sole_user(path):
                pass
        with sole_user(str(tmp_path / "others.db")):
            pass
    with sole_user(path):
        pass


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(JobMapInUse, match=r"nowhere/jobs\.db\.lock: No such file"),
        sole_user(str(tmp_path / "nowhere/jobs.db")),
    ):
        pass
