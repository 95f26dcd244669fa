"""Applications in container images, with the runtimes that run here: Charliecloud and Podman."""

import asyncio
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.containers import IMAGE, WITH_BASH, container_job, make_images
from tests.support.jobs import bulk
from tests.support.stack import Settings, Stack, running_stack

# Podman's default runtime refuses the mixed cgroups of this kernel, and runc knows no --cgroups=disabled.
CONTAINERS = {
    "charliecloud": """
[clusters.hpc.containers]
runtime = "charliecloud"
images = "{folder}/images"

[[images]]
name = "elsewhere:1"
file = "{folder}/images/acme_bash_5"
""",
    "podman": """
[clusters.hpc.containers]
runtime = "podman"
command = ["podman", "--root={folder}/drives/123/podman", "--runtime=runc", "--cgroup-manager=cgroupfs",
    "--log-level=error"]
options = ["--init"]
images = "{folder}/images/oci"

[[images]]
name = "elsewhere:1"
file = "{folder}/images/oci/acme_bash_5"
""",
}


@pytest.fixture(scope="module", params=list(CONTAINERS))
async def containers(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A provider whose cluster runs container images."""
    folder = fresh_folder(request.param)
    make_images(folder / "images")
    settings = Settings(more=CONTAINERS[request.param].format(folder=folder))
    async with running_stack(folder, settings) as stack:
        yield stack


async def run(stack: Stack, made: Any, state: str = "SUCCESS") -> str:
    """Create a job, wait for its end, and return what rank 0 has printed, errors last."""
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 200, answer
    await stack.core.wait_update(made["id"], state=state, timeout=60)
    folder = stack.job_folder("alice", made["id"])
    return "".join((folder / f"{name}-0.log").read_text() for name in ("stdout", "stderr"))


def drive_file(stack: Stack, name: str, text: str = "") -> dict[str, Any]:
    """Make a file of alice's in the drive, or a folder where the name ends in /; return its value."""
    path = stack.folder / "drives/123/files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("/"):
        path.mkdir(exist_ok=True)
    else:
        path.write_text(text)
    user = pwd.getpwnam("alice")
    for made in (path.parent, path):
        os.chown(made, user.pw_uid, user.pw_gid)
    return {"path": f"/123/files/{name}".rstrip("/"), "readOnly": False}


async def test_each_replica_sees_its_rank_and_writes_to_the_jobs_folder_as_the_user(
    containers: Stack,
) -> None:
    made = container_job(
        "cd /work && cat /etc/ucloud/rank.txt >from-$UCLOUD_RANK; grep . /etc/ucloud/*.txt; pwd; "
        "! touch /etc/ucloud/new 2>/dev/null",
        replicas=2,
    )
    printed = (await run(containers, made)).splitlines()
    assert "/etc/ucloud/rank.txt:0" in printed
    assert "/etc/ucloud/number_of_nodes.txt:2" in printed
    assert f"/etc/ucloud/job_id.txt:{made['id']}" in printed
    assert printed[-1] == "/work"
    assert "/etc/ucloud/rank.txt:1" in containers.output("alice", made["id"], 1)
    for rank in (0, 1):
        written = containers.job_folder("alice", made["id"]) / f"from-{rank}"
        assert (written.read_text(), written.owner()) == (f"{rank}\n", "alice")


async def test_the_program_sees_its_environment_and_not_the_nodes(containers: Stack) -> None:
    home = Path(pwd.getpwnam("alice").pw_dir)
    profile = home / ".bash_profile"
    profile.write_text("export LEAKED=1 image=wrong etc=wrong hosts=wrong\n")
    try:
        printed = await run(containers, container_job("env", environment={"MODE": "a 'b' $HOME\n=c"}))
    finally:
        profile.unlink()
    assert "MODE=a 'b' $HOME\n=c\n" in printed
    assert "HOME=/work\n" in printed
    assert "UCLOUD_RANK=0\n" in printed
    assert "SLURM_JOB_ID=" in printed
    for name in ("LEAKED", "UCLOUD_COMMAND", "image", "etc", "hosts", "MAIL", "LS_COLORS"):
        assert f"\n{name}=" not in f"\n{printed}"


async def test_files_are_at_work_with_equal_names_told_apart(containers: Stack) -> None:
    files = {
        "first": drive_file(containers, "one/in.csv", "first"),
        "second": drive_file(containers, "two/in.csv", "second"),
        "folder": drive_file(containers, "three/data/"),
        "again": drive_file(containers, "one/in.csv", "first"),
    }
    script = 'echo "$@"; cat "$1" "$2"; echo made >"$3/new"; ls /work/in.csv /work/data /work/extra.txt'
    made = container_job(script, files=files)
    made["specification"]["resources"] = [{"type": "file", **drive_file(containers, "extra.txt", "extra")}]
    printed = await run(containers, made)
    assert printed.startswith("/work/in.csv /work/in-2.csv /work/data /work/in.csv\nfirstsecond")
    new = containers.folder / "drives/123/files/three/data/new"
    assert (new.read_text(), new.owner()) == ("made\n", "alice")
    left = {path.name for path in containers.job_folder("alice", made["id"]).iterdir()}
    assert left == {".ucloud", "stdout-0.log", "stderr-0.log"}


async def test_a_read_only_file_cannot_be_written(containers: Stack) -> None:
    files = {
        "file": drive_file(containers, "kept.txt", "kept") | {"readOnly": True},
        "folder": drive_file(containers, "kept/") | {"readOnly": True},
    }
    printed = await run(containers, container_job('echo x >>"$1"; echo x >"$2/new"; cat "$1"', files=files))
    assert printed.startswith("kept")
    assert printed.count("Read-only file system") == 2
    assert not (containers.folder / "drives/123/files/kept/new").exists()


async def test_a_mount_path_wins_also_below_a_folder_of_the_image(containers: Stack) -> None:
    files = {"input": drive_file(containers, "in.csv", "mine") | {"mountPath": "/opt/installed/in/a,b.csv"}}
    printed = await run(containers, container_job('echo "$1"; cat "$1" /opt/installed/file', files=files))
    assert printed == "/opt/installed/in/a,b.csv\nmineof the image\n"


NASTY = ("a,b", "a:b", 'a"b', "a'b", "$(touch x)", "a b,ro", "-v", '","ro', "a\\b", "*", "ü,\u2028")


async def test_no_file_name_can_add_a_mount_or_an_option(containers: Stack) -> None:
    files = {f"input{i}": drive_file(containers, name, "mine") for i, name in enumerate(NASTY)}
    script = 'for file; do echo "$file"; cat "$file"; echo; echo more >>"$file"; done'
    made = container_job(script, files=files)
    assert await run(containers, made) == "".join(f"/work/{name}\nmine\n" for name in NASTY)
    for name in NASTY:
        assert (containers.folder / "drives/123/files" / name).read_text() == "minemore\n"
    left = {path.name for path in containers.job_folder("alice", made["id"]).iterdir()}
    assert left == {".ucloud", "stdout-0.log", "stderr-0.log"}


@pytest.mark.parametrize(("script", "message"), [("exit 7", "7"), ("kill -9 $$", "signal 9")])
async def test_the_end_of_the_program_is_the_end_of_the_job(
    containers: Stack, script: str, message: str
) -> None:
    made = container_job(f"sh -c '{script}'")
    await run(containers, made)
    update = await containers.core.wait_update(made["id"], state="SUCCESS")
    assert message in update["status"]


# Podman's containers are no children of the job, and this cluster tracks no control groups: Slurm's signals
# do not reach them, and Podman's own are in a race with Slurm's for Podman itself.
@pytest.mark.parametrize("containers", ["charliecloud"], indirect=True)
async def test_a_job_that_is_terminated_is_told_and_leaves_nothing_running(containers: Stack) -> None:
    made = container_job("trap 'echo told; exit 0' TERM; echo up; sleep 614.25 & wait; wait")
    await containers.core.create(bulk(made))
    async with asyncio.timeout(60):
        while not printed_up(containers, made):
            await asyncio.sleep(0.1)
    assert sleeping("614.25")
    await containers.core.call("jobs/terminate", bulk(made), user="user")
    await containers.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert containers.output("alice", made["id"]) == "up\ntold\n"
    async with asyncio.timeout(10):
        while sleeping("614.25"):
            await asyncio.sleep(0.1)


def printed_up(stack: Stack, made: Any) -> bool:
    log = stack.job_folder("alice", made["id"]) / "stdout-0.log"
    return log.exists() and log.read_text() == "up\n"


def sleeping(seconds: str) -> bool:
    """Whether a process of the machine sleeps for so long."""
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(line.endswith(f"sleep\0{seconds}\0".encode()) for line in lines)


async def test_an_application_that_wants_root_is_root_within_and_the_user_outside(containers: Stack) -> None:
    made = container_job("id -u; touch /work/made", container={"runAsRoot": True})
    assert await run(containers, made) == "0\n"
    assert (containers.job_folder("alice", made["id"]) / "made").owner() == "alice"


async def test_an_application_that_wants_the_real_user_is_the_user(containers: Stack) -> None:
    made = container_job("id -u", container={"runAsRealUser": True})
    assert await run(containers, made) == f"{pwd.getpwnam('alice').pw_uid}\n"


async def test_an_application_may_start_where_its_image_says(containers: Stack) -> None:
    printed = await run(containers, container_job("pwd", container={"changeWorkingDirectory": False}))
    assert printed in ("/\n", "/opt\n")


@pytest.mark.parametrize(("image", "shell"), [("elsewhere:1", "bash"), (WITH_BASH, "bash"), (IMAGE, "sh")])
async def test_the_command_is_run_by_bash_where_the_image_has_it(
    containers: Stack, image: str, shell: str
) -> None:
    made = container_job("", image=image)
    made["status"]["resolvedApplication"]["invocation"]["invocation"] = [
        {"type": "word", "word": "echo"},
        {"type": "env", "variable": "BASH_VERSION"},
    ]
    assert bool((await run(containers, made)).strip()) == (shell == "bash")


async def test_an_image_that_is_not_there_is_refused_in_words(containers: Stack) -> None:
    made = container_job("true", image="acme/unknown:2")
    await containers.core.create(bulk(made))
    update = await containers.core.wait_update(made["id"], state="FAILURE", timeout=30)
    assert "the container image 'acme/unknown:2' is not available" in update["status"]


BAD_NAMES = ("../../etc", "/etc", "-v", "a/../b", "a'b", "a$(id)", "a\nb", "a b", "~/x", "")


@pytest.mark.parametrize("image", BAD_NAMES)
async def test_no_image_name_leads_out_of_the_images_folder(containers: Stack, image: str) -> None:
    answer = await containers.core.create(bulk(container_job("true", image=image)))
    assert answer["status"] == 400
