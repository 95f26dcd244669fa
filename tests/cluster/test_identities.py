"""Who does what: no capability, no root, and no way from one user to another."""

import asyncio
import grp
import os
import pwd
import stat
from pathlib import Path

import grpc.aio
import pytest

from slurm_provider.rpc.v1.submission_pb2 import CancelRequest
from slurm_provider.rpc.v1.submission_pb2_grpc import SubmissionServiceStub
from slurm_provider.sidecar.spawner import Policy, Refused, start_agent
from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.processes import as_user
from tests.support.slurm import Slurm
from tests.support.stack import SIDECAR_USER, Settings, Stack, running_stack

NO_CAPABILITIES = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def process_of(module: str, stack: Stack, user: str | None = None) -> int:
    """Return the process of this stack's sidecar that runs a module, as a user where one is given."""
    parents = {stack.sidecar.pid}
    for _ in range(3):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                status = _status(int(entry.name))
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(status["PPid"]) not in parents:
                continue
            parents.add(int(entry.name))
            owner = pwd.getpwuid(int(status["Uid"].split()[0])).pw_name
            if module.encode() in command and user in (None, owner):
                return int(entry.name)
    raise LookupError(f"no {module} runs as {user}")


async def test_an_agent_has_no_capability_and_can_get_none(stack: Stack) -> None:
    made = job("true")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    status = _status(process_of("slurm_provider.sidecar.agent", stack, "alice"))
    alice = pwd.getpwnam("alice")
    assert status["Uid"].split() == [str(alice.pw_uid)] * 4
    assert status["Gid"].split() == [str(alice.pw_gid)] * 4
    assert {int(gid) for gid in status["Groups"].split()} == set(os.getgrouplist("alice", alice.pw_gid))
    assert {name: status[name] for name in NO_CAPABILITIES} == NO_CAPABILITIES
    assert status["NoNewPrivs"] == "1"


async def test_the_server_that_speaks_grpc_has_no_capability(stack: Stack) -> None:
    status = _status(stack.sidecar.pid)
    assert status["Uid"].split() == [str(pwd.getpwnam(SIDECAR_USER).pw_uid)] * 4
    assert {name: status[name] for name in NO_CAPABILITIES} == NO_CAPABILITIES


async def test_the_spawner_can_change_users_and_nothing_else(stack: Stack) -> None:
    status = _status(process_of("slurm_provider.sidecar.spawner", stack))
    assert status["Uid"].split() == [str(pwd.getpwnam(SIDECAR_USER).pw_uid)] * 4
    setgid, setuid, setpcap = 1 << 6, 1 << 7, 1 << 8
    for name in ("CapPrm", "CapBnd"):
        assert int(status[name], 16) == setgid | setuid | setpcap


async def test_neither_spawner_nor_agents_load_grpc(stack: Stack) -> None:
    for module in ("slurm_provider.sidecar.spawner", "slurm_provider.sidecar.agent"):
        maps = Path(f"/proc/{process_of(module, stack)}/maps").read_text()
        assert "cygrpc" not in maps


async def test_an_agent_starts_with_an_environment_built_from_nothing(stack: Stack) -> None:
    environment = Path(
        f"/proc/{process_of('slurm_provider.sidecar.agent', stack, 'alice')}/environ"
    ).read_text()
    names = {entry.split("=", 1)[0] for entry in environment.split("\0") if entry}
    assert names <= {"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "USER", "LC_CTYPE"}


async def test_the_socket_is_closed_to_everybody_but_the_facade(stack: Stack) -> None:
    path = stack.folder / "run/sidecar.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert grp.getgrgid(path.stat().st_gid).gr_name == "slurm-provider"
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    for user, may in (("bob", False), ("slurm-provider", True)):
        process = await asyncio.create_subprocess_exec(
            *as_user(user, "/usr/bin/python3", "-c", connect), stderr=asyncio.subprocess.DEVNULL
        )
        assert (await process.wait() == 0) is may


async def test_jobs_run_as_their_owner_and_never_as_root(stack: Stack) -> None:
    for user in ("alice", "bob"):
        made = job("id -un; id -u", user=user)
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="SUCCESS")
        assert stack.output(user, made["id"]).splitlines() == [user, str(pwd.getpwnam(user).pw_uid)]


async def test_the_local_user_of_a_call_is_the_jobs_own_whoever_the_request_names(
    stack: Stack, slurm: Slurm
) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    forged = made | {"owner": {"createdBy": "bob", "project": None}}
    assert (await stack.core.call("jobs/terminate", bulk(forged), user="bob"))["status"] == 200
    await stack.core.wait_update(made["id"], state="SUCCESS")
    alice = pwd.getpwnam("alice").pw_uid
    assert (await slurm.recorded(made["id"]))["State"] == f"CANCELLED by {alice}"


async def test_an_agent_of_bob_can_do_nothing_to_a_job_of_alice(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    slurm_id = stack.overview(made["id"])["slurm_id"]
    async with grpc.aio.insecure_channel(f"unix:{stack.folder}/run/sidecar.sock") as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=r"[Pp]ermission denied"):
            await SubmissionServiceStub(channel).Cancel(CancelRequest(local_user="bob", slurm_id=slurm_id))
    folder = stack.job_folder("alice", made["id"])
    reading = await asyncio.create_subprocess_exec(
        *as_user("bob", "cat", folder / ".ucloud/command.sh"), stderr=asyncio.subprocess.DEVNULL
    )
    assert await reading.wait() != 0
    assert stack.overview(made["id"])["state"] == "RUNNING"
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")


@pytest.mark.parametrize(
    ("local_user", "words"),
    [
        ("root", "never run as root"),
        ("daemon", "system user"),
        ("nosuchuser", "no local user 'nosuchuser'"),
        ("bob", "excluded by the site"),
        ("alice", "in none of the groups wheel"),
    ],
)
async def test_the_spawner_refuses_whom_the_site_excludes(local_user: str, words: str) -> None:
    policy = Policy(
        min_uid=1000,
        deny_users=["bob"],
        allow_groups=["wheel"],
        path="/usr/bin",
        slurm_conf=None,
        command_timeout_seconds=1,
    )
    with pytest.raises(Refused, match=words):
        start_agent(local_user, policy)


async def test_a_refused_user_gets_a_failure_in_words_and_no_job(slurm: Slurm) -> None:
    settings = Settings(sidecar='deny_users = ["bob"]')
    async with running_stack(fresh_folder("deny"), settings) as stack:
        made = job("true", user="bob")
        await stack.core.create(bulk(made))
        update = await stack.core.wait_update(made["id"], state="FAILURE")
        assert "'bob' is excluded by the site" in update["status"]
        assert slurm.jobs_named(made["id"]) == []
