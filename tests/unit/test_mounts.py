"""Where a job finds the files that it is given."""

from typing import Any

import pytest

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.mounts import LinkTable, MountTable
from slurm_provider.launch.paths import local_path
from slurm_provider.ucloud.values import ParameterValue

DRIVES = [Drive(id="7", path="/gpfs/seven")]


def file(path: str, **changes: Any) -> ParameterValue:
    return ParameterValue(type="file", path=path, **changes)


def placed(table: MountTable | LinkTable, *values: ParameterValue) -> list[str]:
    return [table.place_parameter(value, local_path(value.path or "", DRIVES)) for value in values]


@pytest.mark.parametrize(
    ("paths", "targets"),
    [
        (["/7/a/in.csv"], ["in.csv"]),
        (["/7"], ["seven"]),
        (["/7/a/in.csv", "/7/b/in.csv", "/7/c/in.csv"], ["in.csv", "in-2.csv", "in-3.csv"]),
        (["/7/a/data", "/7/b/data/"], ["data", "data-2"]),
        (["/7/a/.hidden", "/7/b/.hidden"], [".hidden", ".hidden-2"]),
        (["/7/in-2.csv", "/7/a/in.csv", "/7/b/in.csv"], ["in-2.csv", "in.csv", "in-3.csv"]),
        (["/7/a/in.csv", "/7//a/./in.csv"], ["in.csv", "in.csv"]),
        (["/7/.ucloud", "/7/stdout-0.log"], [".ucloud-2", "stdout-0-2.log"]),
    ],
)
def test_files_are_at_work_under_names_of_their_own(paths: list[str], targets: list[str]) -> None:
    table = MountTable()
    expected = [f"/work/{target}" for target in targets]
    assert placed(table, *(file(path) for path in paths)) == expected
    assert {mount.target for mount in table.mounts} == set(expected)
    assert table.points == table.mounts


def test_the_same_file_given_for_reading_and_for_writing_is_two_mounts() -> None:
    table = MountTable()
    placed(table, file("/7/x", readOnly=True), file("/7/x"))
    assert [(mount.target, mount.read_only) for mount in table.mounts] == [
        ("/work/x", True),
        ("/work/x-2", False),
    ]


def test_a_mount_path_wins_and_outer_mounts_come_first() -> None:
    table = MountTable()
    values = (file("/7/x", mountPath="/data/in/x/"), file("/7/y", mountPath="/data"))
    assert placed(table, *values) == ["/data/in/x", "/data"]
    assert [mount.target for mount in table.mounts] == ["/data", "/data/in/x"]
    assert table.points == ()


@pytest.mark.parametrize(
    "path", ["data", "/", "//", "/a//b", "/a/../b", "/a/.", "/work", "/work/x", "/workspace", "/etc/ucloud/x",
             "/opt/ucloud", "/proc/self", "/dev/null", "/a\nb"],
)  # fmt: skip
def test_a_mount_path_that_would_hide_what_a_job_needs_is_refused(path: str) -> None:
    with pytest.raises(LaunchError, match="mount"):
        placed(MountTable(), file("/7/x", mountPath=path))


def test_two_files_cannot_be_at_one_mount_path() -> None:
    with pytest.raises(LaunchError, match="two files cannot both be at /data"):
        placed(MountTable(), file("/7/x", mountPath="/data"), file("/7/y", mountPath="/data"))


def test_an_opened_file_is_found_in_a_mount_that_holds_it_or_mounted() -> None:
    table = MountTable()
    placed(table, file("/7/a/x"))
    for path, found in (("/7/a/x/deep", "/work/x/deep"), ("/7/a/xy", "/work/xy")):
        assert table.place_opened(file(path), local_path(path, DRIVES)) == found
    assert [mount.target for mount in table.mounts] == ["/work/x", "/work/xy"]


def test_native_applications_get_links_to_resources_and_no_mount_path() -> None:
    table = LinkTable()
    assert placed(table, file("/7/a/x")) == ["/gpfs/seven/a/x"]
    for path in ("/7/a/x", "/7/b/x"):
        table.place_resource(file(path), local_path(path, DRIVES))
    assert [(link.source.path, link.target) for link in table.mounts] == [
        ("/gpfs/seven/a/x", "x"),
        ("/gpfs/seven/b/x", "x-2"),
    ]
    with pytest.raises(LaunchError, match="only an application in a container"):
        placed(table, file("/7/a/x", mountPath="/data"))
