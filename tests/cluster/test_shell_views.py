"""A terminal shows what the rank's program sees, whatever runs it."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.conftest import fresh_folder
from tests.cluster.test_containers import CONTAINERS
from tests.cluster.test_virtual_machines import PRODUCTS, SITE
from tests.support.containers import IMAGE, WITH_BASH, container_job, make_images
from tests.support.jobs import job
from tests.support.processes import ROOT
from tests.support.shells import running, session_with, terminal
from tests.support.stack import Settings, Stack, running_stack


@pytest.fixture(scope="module", params=list(CONTAINERS))
async def containers(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A provider whose cluster runs container images."""
    folder = fresh_folder(f"views-{request.param}")
    make_images(folder / "images")
    settings = Settings(more=CONTAINERS[request.param].format(folder=folder))
    async with running_stack(folder, settings) as stack:
        yield stack


@pytest.mark.parametrize("image", [IMAGE, WITH_BASH])
async def test_a_shell_in_a_container_sees_the_image_and_the_ranks_files(
    containers: Stack, image: str
) -> None:
    wait = "echo $$ >pid; while :; do sleep 1; done"
    made = container_job(wait, image=image, replicas=2, environment={"GREETING": "good day"})
    await running(containers, made)
    async with terminal(containers, await session_with(containers, made, rank=1)) as shell:
        await shell.run("cat /opt/installed/file", "of the image\r\n")
        await shell.run("echo $(cat /etc/ucloud/rank.txt)-$UCLOUD_RANK $(pwd) $HOME", "1-1 /work /work")
        await shell.run("touch left; ls -l stdout-1.log; stty size", "24 80")
        name = "bash" if image == WITH_BASH else "other"
        await shell.run("echo $((1 + 1))-${BASH_VERSION:+bash}${BASH_VERSION:-other}", f"2-{name}")
        await shell.run("kill -0 $(cat pid) && echo the-program-is-$((1 + 1))", "the-program-is-2")
    assert (containers.job_folder("alice", made["id"]) / "left").exists()


async def test_a_native_shell_has_the_programs_environment_in_the_jobs_folder(stack: Stack) -> None:
    made = await running(stack, container_job("sleep 600", backend="NATIVE", replicas=2))
    async with terminal(stack, await session_with(stack, made, rank=1)) as shell:
        await shell.run("echo $UCLOUD_RANK $(cat $UCLOUD_DIR/rank.txt) $SLURM_PROCID", "1 1 1\r\n")
        await shell.run("pwd -P", f"{stack.job_folder('alice', made['id'])}\r\n")
        await shell.run("echo home $HOME as $(id -un)", "as alice")


async def test_a_rank_whose_program_has_ended_says_so(stack: Stack) -> None:
    made = await running(stack, job('[ "$UCLOUD_RANK" = 1 ] && touch ended || sleep 600', replicas=2))
    async with terminal(stack, await session_with(stack, made, rank=1)) as shell:
        await shell.sees("The program of rank 1 has ended; there is nothing left to enter.")
        await shell.ended()


@pytest.fixture(scope="module")
async def machines() -> AsyncIterator[Stack]:
    """A provider with virtual machines."""
    guest = Path("/var/tmp/slurm-provider-guest")
    subprocess.run([ROOT / "scripts/test-guest", guest], check=True, timeout=600)
    settings = Settings(products=PRODUCTS, more=SITE.format(guest=guest))
    async with running_stack(fresh_folder("views-machines"), settings) as stack:
        yield stack


async def test_the_shell_of_a_virtual_machine_is_its_console(machines: Stack) -> None:
    made = job("", app="small-machine", timeAllocation=None, parameters={})
    await running(machines, made)
    session = await session_with(machines, made)
    async with terminal(machines, session) as shell:
        await shell.sees("second 3 of start 1")
        await shell.run("hello", "you said: hello")
        async with terminal(machines, await session_with(machines, made)) as second:
            await second.sees("The machine has one console, and another terminal has it open.")
        await shell.leave()
    async with terminal(machines, session) as shell:
        await shell.sees("you said: hello")
        await shell.run("off", "The shell has ended")
