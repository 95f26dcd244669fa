"""A shell in a job runs what its own user has left there, and nothing that others could have put there."""

import subprocess
from pathlib import Path

import pytest

from slurm_provider.sidecar.shell_places import _ENTER, NoShell, is_own


def enter(control: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", _ENTER, str(control / "enter"), "3"], capture_output=True, text=True, check=False
    )


@pytest.fixture
def control(tmp_path: Path) -> Path:
    folder = tmp_path / ".ucloud"
    folder.mkdir(mode=0o700)
    (folder / "enter").write_text("echo rank $1")
    (folder / "enter").chmod(0o640)
    return folder


def test_the_users_own_file_is_run(control: Path) -> None:
    assert is_own(control)
    assert enter(control).stdout == "rank 3\n"


def test_without_a_control_folder_there_is_none(tmp_path: Path) -> None:
    assert not is_own(tmp_path / ".ucloud")


def test_a_folder_that_others_can_write_to_is_not_used(control: Path) -> None:
    control.chmod(0o770)
    assert "can be written by others" in enter(control).stderr
    with pytest.raises(NoShell):
        is_own(control)


def test_a_file_that_others_can_write_to_is_not_run(control: Path) -> None:
    (control / "enter").chmod(0o666)
    assert enter(control).returncode == 1


def test_a_link_is_not_followed(control: Path, tmp_path: Path) -> None:
    (control / "enter").rename(tmp_path / "other")
    (control / "enter").symlink_to(tmp_path / "other")
    assert enter(control).returncode == 1
    (tmp_path / "link").symlink_to(control)
    with pytest.raises(NoShell):
        is_own(tmp_path / "link")
