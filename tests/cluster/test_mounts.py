"""Files that a user gives a job, where no container runs it: installed software, and native applications."""

import asyncio
from pathlib import Path

import pytest

from tests.cluster.test_containers import drive_file, run
from tests.support.containers import container_job
from tests.support.jobs import bulk, job
from tests.support.stack import Stack

SOFTWARE = "acme/batch:1.0.0"


async def test_installed_software_finds_files_as_in_a_container(stack: Stack) -> None:
    files = {
        "first": drive_file(stack, "one/in.csv", "first"),
        "second": drive_file(stack, "two/in.csv", "second") | {"readOnly": True},
        "third": drive_file(stack, "three/x,y", "third") | {"mountPath": "/usr/share/ours/deep/z"},
    }
    script = 'echo "$@"; cat "$@"; echo more >>"$1"; echo more >>"$2"; ls /usr/share/perl5 >/dev/null; pwd'
    printed = await run(stack, container_job(script, image=SOFTWARE, shell="bash", files=files))
    begin = "/work/in.csv /work/in-2.csv /usr/share/ours/deep/z\nfirstsecondthird/work\n"
    assert printed.startswith(begin)
    assert "Read-only file system" in printed
    drive = stack.folder / "drives/123/files"
    texts = [(drive / name).read_text() for name in ("one/in.csv", "two/in.csv")]
    assert texts == ["firstmore\n", "second"]
    assert not Path("/usr/share/ours").exists()


async def test_installed_software_may_be_run_as_root_within(stack: Stack) -> None:
    made = container_job(
        "id -u; pwd; touch /work/made",
        image=SOFTWARE,
        shell="bash",
        container={"runAsRoot": True, "changeWorkingDirectory": False},
    )
    assert await run(stack, made) == "0\n/\n"
    assert (stack.job_folder("alice", made["id"]) / "made").owner() == "alice"


async def test_a_native_application_has_links_to_its_resources_while_it_runs(stack: Stack) -> None:
    script = 'readlink -- "in a.csv" "in a-2.csv" -v; cat -- "in a.csv"; echo kept >out'
    made = job(script, app="native-script")
    values = [drive_file(stack, name, "linked") for name in ("one/in a.csv", "two/in a.csv", "-v")]
    made["specification"]["resources"] = [{"type": "file", **value} for value in values]
    drive = stack.folder / "drives/123/files"
    expected = [str(drive / name) for name in ("one/in a.csv", "two/in a.csv", "-v")]
    assert (await run(stack, made)).splitlines() == [*expected, "linked"]
    left = {path.name for path in stack.job_folder("alice", made["id"]).iterdir()}
    assert left == {".ucloud", "stdout-0.log", "stderr-0.log", "out"}


async def test_a_job_that_is_terminated_leaves_no_links(stack: Stack) -> None:
    made = job("echo up; exec sleep 600", app="native-script")
    made["specification"]["resources"] = [{"type": "file", **drive_file(stack, "one/in.csv", "x")}]
    await stack.core.create(bulk(made))
    folder = stack.job_folder("alice", made["id"])
    async with asyncio.timeout(60):
        while not (folder / "stdout-0.log").exists() or not (folder / "stdout-0.log").read_text():
            await asyncio.sleep(0.1)
    assert (folder / "in.csv").is_symlink()
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert {path.name for path in folder.iterdir()} == {".ucloud", "stdout-0.log", "stderr-0.log"}


async def test_a_link_out_of_the_drive_is_not_mounted(stack: Stack) -> None:
    value = drive_file(stack, "links/")
    (stack.folder / "drives/123/files/links/out").symlink_to("/etc")
    resources = [{"type": "file", "path": f"{value['path']}/out"}]
    made = container_job("ls /work/out", image=SOFTWARE, shell="bash", resources=resources)
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], state="FAILURE", timeout=30)
    assert "a symbolic link leads out of its drive" in update["status"]


@pytest.mark.parametrize("path", ["/work/x", "/etc/ucloud", "data", "/a/../b", "/", "/proc/1", "/a\nb"])
async def test_nothing_is_mounted_where_it_must_not_be(stack: Stack, path: str) -> None:
    value = drive_file(stack, "one/in.csv", "x") | {"mountPath": path}
    answer = await stack.core.create(bulk(container_job("true", image=SOFTWARE, files={"input": value})))
    assert answer["status"] == 400
