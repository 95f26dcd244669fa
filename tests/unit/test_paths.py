"""UCloud paths and the cluster's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path, ucloud_path

DRIVES = [
    Drive(id="12", path="/gpfs/12"),
    Drive(id="123", path="/gpfs/123"),
    Drive(id="home", path="/home/of bob/"),
]
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/"), min_size=1)


@pytest.mark.parametrize(
    ("given_path", "path", "root"),
    [
        ("/12", "/gpfs/12", "/gpfs/12"),
        ("/12/", "/gpfs/12", "/gpfs/12"),
        ("/12/3", "/gpfs/12/3", "/gpfs/12"),
        ("/123/a/b", "/gpfs/123/a/b", "/gpfs/123"),
        ("//123//a///b/", "/gpfs/123/a/b", "/gpfs/123"),
        ("/123/./a/.", "/gpfs/123/a", "/gpfs/123"),
        ("/123/a..b/...", "/gpfs/123/a..b/...", "/gpfs/123"),
        ("/home/a b'c\"d", "/home/of bob/a b'c\"d", "/home/of bob"),
    ],
)
def test_a_path_lies_in_the_folder_of_its_drive(given_path: str, path: str, root: str) -> None:
    confined = local_path(given_path, DRIVES)
    assert (confined.path, confined.root) == (path, root)


@pytest.mark.parametrize(
    "path", ["/123/..", "/123/../12/a", "/123/a/../b", "/123/a/..", "/..", "/../123/a", "//123//..//"]
)
def test_two_dots_are_refused_wherever_they_stand(path: str) -> None:
    with pytest.raises(LaunchError, match=r"'\.\.' is not allowed"):
        local_path(path, DRIVES)


@pytest.mark.parametrize("path", ["/123/a\nb", "/123/a\0b", "/123/\x1b[31m", "/123\t/a", "\r/123/a"])
def test_a_control_character_is_refused(path: str) -> None:
    with pytest.raises(LaunchError, match="control character"):
        local_path(path, DRIVES)


@pytest.mark.parametrize("path", ["/1", "/1234/a", "/gpfs/12/a", "", "/", "///", "/HOME/a"])
def test_an_unknown_drive_is_refused_by_the_path(path: str) -> None:
    with pytest.raises(LaunchError, match=f"the drive of {path} "):
        local_path(path, DRIVES)


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("/gpfs/12", "/12"),
        ("/gpfs/12/a", "/12/a"),
        ("/gpfs/123", "/123"),
        ("/gpfs/123/a b", "/123/a b"),
        ("/home/of bob/x", "/home/x"),
        ("/gpfs", None),
        ("/gpfs/1234", None),
        ("/gpfs/12-old/a", None),
        ("/elsewhere/gpfs/12", None),
    ],
)
def test_a_folder_has_the_path_of_the_drive_that_it_lies_in(folder: str, path: str | None) -> None:
    assert ucloud_path(folder, DRIVES) == path
    assert ucloud_path(folder, reversed(DRIVES)) == path


@given(st.lists(NAMES.filter(lambda name: name not in (".", "..")), max_size=5), st.sampled_from(DRIVES))
def test_a_path_comes_back_as_it_went(names: list[str], drive: Drive) -> None:
    path = "/" + "/".join([drive.id, *names])
    confined = local_path(path, DRIVES)
    assert confined.path == "/".join([drive.path, *names])
    assert ucloud_path(confined.path, DRIVES) == path
