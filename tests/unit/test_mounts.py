"""Where a job finds the files that it is given."""

from typing import Any

import pytest

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.mounts import Mounts, container_mounts, native_links
from slurm_provider.ucloud.values import ApplicationParameter, ParameterValue

DRIVES = [Drive(id="7", path="/gpfs/seven")]


def file(path: str, **changes: Any) -> ParameterValue:
    return ParameterValue(type="file", path=path, **changes)


def mounted(*resources: ParameterValue, **parameters: ParameterValue) -> Mounts:
    declared = [ApplicationParameter(type="input_file", name=name) for name in parameters]
    return container_mounts(declared, parameters, resources, DRIVES)


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
    values = {f"p{i}": file(path) for i, path in enumerate(paths)}
    mounts = mounted(**values)
    assert list(mounts.parameters.values()) == [f"/work/{target}" for target in targets]
    assert {mount.target for mount in mounts.mounts} == set(mounts.parameters.values())


def test_parameters_come_before_resources() -> None:
    mounts = mounted(file("/7/a/x"), first=file("/7/b/x"))
    assert {mount.source.path: mount.target for mount in mounts.mounts} == {
        "/gpfs/seven/b/x": "/work/x",
        "/gpfs/seven/a/x": "/work/x-2",
    }


def test_the_same_file_given_for_reading_and_for_writing_is_two_mounts() -> None:
    mounts = mounted(first=file("/7/x", readOnly=True), second=file("/7/x"))
    assert [(mount.target, mount.read_only) for mount in mounts.mounts] == [
        ("/work/x", True),
        ("/work/x-2", False),
    ]


def test_a_mount_path_wins_and_outer_mounts_come_first() -> None:
    mounts = mounted(first=file("/7/x", mountPath="/data/in/x/"), second=file("/7/y", mountPath="/data"))
    assert [mount.target for mount in mounts.mounts] == ["/data", "/data/in/x"]
    assert mounts.parameters == {"first": "/data/in/x", "second": "/data"}
    assert mounts.points == ()


@pytest.mark.parametrize(
    "path", ["data", "/", "//", "/a//b", "/a/../b", "/a/.", "/work", "/work/x", "/workspace", "/etc/ucloud/x",
             "/opt/ucloud", "/proc/self", "/dev/null", "/a\nb"],
)  # fmt: skip
def test_a_mount_path_that_would_hide_what_a_job_needs_is_refused(path: str) -> None:
    with pytest.raises(LaunchError, match="mount"):
        mounted(file("/7/x", mountPath=path))


def test_two_files_cannot_be_at_one_mount_path() -> None:
    with pytest.raises(LaunchError, match="two files cannot both be at /data"):
        mounted(file("/7/x", mountPath="/data"), file("/7/y", mountPath="/data"))


def test_what_the_job_sees_of_a_path_of_the_cluster() -> None:
    mounts = mounted(file("/7/a/x"))
    assert mounts.seen_at("/gpfs/seven/a/x/deep") == "/work/x/deep"
    assert mounts.seen_at("/gpfs/seven/a/xy") is None


def test_native_applications_get_links_to_resources_and_no_mount_path() -> None:
    links = native_links([file("/7/a/x"), file("/7/b/x")], DRIVES)
    assert [(link.source.path, link.target) for link in links.mounts] == [
        ("/gpfs/seven/a/x", "x"),
        ("/gpfs/seven/b/x", "x-2"),
    ]
    with pytest.raises(LaunchError, match="only an application in a container"):
        native_links([file("/7/a/x", mountPath="/data")], DRIVES)
