"""Virtual machines: QEMU in Slurm jobs, their consoles, and pauses that lose nothing."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.cluster.conftest import fresh_folder
from tests.support.follow import seeds_core
from tests.support.jobs import bulk, job
from tests.support.processes import ROOT
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

PRODUCTS = """
[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "main"
memory_gib = 0.125
virtual_machines = true

[[products]]
category = "example-compute"
id = "example-compute-2"
cluster = "hpc"
partition = "main"
memory_gib = 0.125
virtual_machines = true
suspend = "requeue-hold"

[[products]]
category = "example-compute"
id = "example-compute"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
"""

SITE = """
[virtual_machines]
overhead_mib = 256
accelerators = ["tcg"]

[[virtual_machines.images]]
name = "small-machine"
disk = "{guest}/disk.qcow2"
kernel = "{guest}/vmlinuz"
initrd = "{guest}/initrd.gz"
append = "console=ttyS0 quiet"
"""


@pytest.fixture(scope="module")
def guest() -> Path:
    """The folder of a small Debian that counts seconds in its memory and starts on its disk.

    It is kept from run to run: to make it takes most of a minute.
    """
    folder = Path("/var/tmp/slurm-provider-guest")
    subprocess.run([ROOT / "scripts/test-guest", folder], check=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
async def machines(guest: Path, slurm: Slurm) -> AsyncIterator[Stack]:
    """A provider whose products run virtual machines."""
    settings = Settings(products=PRODUCTS, more=SITE.format(guest=guest))
    async with running_stack(fresh_folder("machines"), settings) as stack:
        yield stack
        await stack.assert_ledger_is_right(slurm)
        assert await stack.core.violations() == []


def machine(product: str = "example-compute-1") -> Any:
    """Return a new virtual machine as Core would send it: it has no end."""
    return job("", app="small-machine", product=product, timeAllocation=None, parameters={})


def _console(stack: Stack, made: Any) -> str:
    path = stack.job_folder("alice", made["id"]) / "stdout-0.log"
    return path.read_text(errors="replace") if path.exists() else ""


async def _says(stack: Stack, made: Any, pattern: str) -> None:
    """Wait until the machine's console says something that matches."""
    async with asyncio.timeout(90):
        while not re.search(pattern, _console(stack, made)):
            await asyncio.sleep(0.1)


def _seconds(stack: Stack, made: Any) -> int:
    """Return the last second that the machine has counted in its memory."""
    return int(re.findall(r"second (\d+) of", _console(stack, made))[-1])


def _in_the_job(slurm: Slurm, stack: Stack, made: Any, script: str) -> str:
    """Run a shell script on the job's node as its owner."""
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    return slurm.run("srun", "--jobid", slurm_id, "--overlap", "sh", "-c", script, user="alice")


async def _type(slurm: Slurm, stack: Stack, made: Any, line: str) -> None:
    """Type a line on the machine's console, as a terminal on its node would."""
    console = stack.job_folder("alice", made["id"]) / ".ucloud/rank-0/console.txt"
    script = f"exec 3<>$(cat {console}); sleep 1.5; echo '{line}' >&3; sleep 0.5"
    await asyncio.to_thread(_in_the_job, slurm, stack, made, script)


async def _create(stack: Stack, made: Any) -> None:
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    await _says(stack, made, "second 2 of start 1\n")


async def _call(stack: Stack, call: str, made: Any) -> None:
    item = made if call == "terminate" else {"job": made}
    reply = await stack.core.call(f"jobs/{call}", bulk(item), user="user")
    assert reply["status"] == 200, reply


async def test_a_virtual_machine_prints_and_reads_on_its_console(machines: Stack, slurm: Slurm) -> None:
    made = machine()
    await _create(machines, made)
    await _type(slurm, machines, made, "hello")
    await _says(machines, made, "you said: hello")
    with suppress(subprocess.CalledProcessError):  # the machine's end is also that of the step that asked
        await _type(slurm, machines, made, "off")
    end = await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert end["status"] == "The job has finished processing!"
    async with seeds_core(machines.url, await machines.core.core_token()) as core:
        followed = await core.until_end(await core.follow(made))
    assert "you said: hello" in followed.text()


async def test_a_suspended_machine_stands_still_and_goes_on_where_it_was(machines: Stack) -> None:
    made = machine()
    await _create(machines, made)
    await _call(machines, "suspend", made)
    await machines.core.wait_update(made["id"], state="SUSPENDED")
    before = _seconds(machines, made)
    seq = await machines.core.last_seq()
    await _call(machines, "unsuspend", made)
    await machines.core.wait_update(made["id"], state="RUNNING", since=seq)
    await _says(machines, made, f"second {before + 2} of start 1\n")
    assert "start 2" not in _console(machines, made)
    await _call(machines, "terminate", made)
    await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)


async def test_a_machine_that_gave_its_node_back_keeps_memory_and_disk(machines: Stack, slurm: Slurm) -> None:
    made = machine("example-compute-2")
    await _create(machines, made)
    await _call(machines, "suspend", made)
    await machines.core.wait_update(made["id"], state="SUSPENDED", timeout=60)
    slurm_id = str(machines.overview(made["id"])["slurm_id"])
    assert slurm.run("squeue", "-h", "-j", slurm_id, "-o", "%T %N").split() == ["PENDING"]
    before = _seconds(machines, made)
    seq = await machines.core.last_seq()
    await _call(machines, "unsuspend", made)
    await machines.core.wait_update(made["id"], state="RUNNING", since=seq, timeout=60)
    await _says(machines, made, f"second {before + 2} of start 1\n")
    assert "start 2" not in _console(machines, made)
    await _call(machines, "terminate", made)
    await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert len(machines.overview(made["id"])["attempts"]) == 2


async def test_a_machine_whose_memory_cannot_be_read_starts_from_its_disk(machines: Stack) -> None:
    made = machine("example-compute-2")
    await _create(machines, made)
    await _call(machines, "suspend", made)
    await machines.core.wait_update(made["id"], state="SUSPENDED", timeout=60)
    folder = machines.job_folder("alice", made["id"])
    (folder / ".ucloud/machine.saved").write_bytes(b"of another QEMU")
    await _call(machines, "unsuspend", made)
    await _says(machines, made, "is up, start 2")
    assert "it starts from its disk" in (folder / "stderr-0.log").read_text()
    await _call(machines, "terminate", made)
    await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)


async def test_a_machine_starts_again_from_its_own_disk(machines: Stack, slurm: Slurm) -> None:
    made = machine()
    await _create(machines, made)
    slurm_id = str(machines.overview(made["id"])["slurm_id"])
    slurm.run("scontrol", "requeue", slurm_id)
    await _says(machines, made, "is up, start 1")
    await machines.core.wait_update(made["id"], state="IN_QUEUE", timeout=60)
    await slurm.start_now(slurm_id)
    await _says(machines, made, "is up, start 2")
    await _call(machines, "terminate", made)
    await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)


async def test_the_screen_is_offered_by_vnc_behind_a_password(machines: Stack, slurm: Slurm) -> None:
    made = machine()
    await _create(machines, made)
    folder = machines.job_folder("alice", made["id"]) / ".ucloud/rank-0"
    password = (folder / "vnc-password.txt").read_text()
    assert re.fullmatch(r"[A-Za-z0-9]{8}", password)
    assert (folder / "vnc-password.txt").stat().st_mode & 0o077 == 0
    wanted = {"job": made, "rank": 0, "sessionType": "VNC"}
    reply = await machines.core.call("jobs/interactiveSession", bulk(wanted), user="user")
    session = reply["body"]["responses"][0]
    assert session["password"] == password
    async with connect(machines.url.replace("http", "ws") + session["url"], proxy=None) as screen:
        assert await screen.recv() == b"RFB 003.008\n"
        await screen.send(b"RFB 003.008\n")
        assert await screen.recv() == b"\x01\x02"  # one kind of security: VNC's password
    await _call(machines, "terminate", made)
    await machines.core.wait_update(made["id"], state="SUCCESS", timeout=60)


async def test_a_product_runs_machines_or_programs_and_says_so(machines: Stack) -> None:
    made = machine("example-compute")
    reply = await machines.core.create(bulk(made))
    assert reply["status"] == 400
    assert reply["body"]["why"] == "the machine type 'example-compute' runs no virtual machines"
    reply = await machines.core.create(bulk(job("true")))
    assert reply["body"]["why"] == "the machine type 'example-compute-1' runs virtual machines only"
