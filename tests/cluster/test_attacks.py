"""What a user of the cluster, or a failing part, might do to another's jobs, and does not."""

import asyncio
import os
import pwd
import signal
from pathlib import Path

import grpc.aio
import pytest

from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.rpc.v1.submission_pb2_grpc import SubmissionServiceStub
from tests.cluster.conftest import fresh_folder
from tests.cluster.test_identities import process_of
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Stack, running_stack


async def test_odd_names_comments_and_times_of_other_jobs_hide_nothing(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    slurm_id = stack.overview(made["id"])["slurm_id"]
    forged = (
        f"x\n{slurm_id}\x1falice\x1fCOMPLETED\x1fNone\x1f1\x1f1\x1f5\x1fusers\x1fmain\x1fn1\x1f/\x1fx\x1f"
    )
    names = (forged, "na\nme", "x\x1fy", "ü" * 200)
    odd = [
        slurm.run("sbatch", "--parsable", "--hold", "--chdir=/tmp", "-J", name, f"--comment={name}",
                  "--time=60000-0", "--wrap", "true", user="bob").strip()
        for name in names
    ]  # fmt: skip
    try:
        ended = job("true")
        await stack.core.create(bulk(ended))
        await stack.core.wait_update(ended["id"], state="SUCCESS")
        assert stack.overview(made["id"])["state"] == "RUNNING"
    finally:
        slurm.run("scancel", *odd)
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_a_user_who_stops_her_own_agent_holds_up_nobody_else(stack: Stack) -> None:
    hers, his = job("sleep 600"), job("sleep 5; echo done", user="bob")
    for made in (hers, his):
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="RUNNING")
    agent = process_of("slurm_provider.sidecar.agent", stack, "alice")
    os.kill(agent, signal.SIGSTOP)
    try:
        await stack.core.call("jobs/terminate", bulk(hers), user="user", replay=False)
        await stack.core.wait_update(his["id"], state="SUCCESS", timeout=20)
        more = job("echo more", user="bob")
        await stack.core.create(bulk(more))
        await stack.core.wait_update(more["id"], state="SUCCESS", timeout=20)
    finally:
        os.kill(agent, signal.SIGCONT)
    await stack.core.wait_update(hers["id"], state="SUCCESS", timeout=60)


async def test_an_agent_does_nothing_that_is_meant_for_another_user(tmp_path: Path) -> None:
    from slurm_provider.sidecar.own_user import check_user

    check_user(pwd.getpwuid(os.getuid()).pw_name)
    with pytest.raises(PermissionError, match="not of 'bob'"):
        check_user("bob")


async def test_an_agent_that_was_held_up_submits_nothing_any_more(stack: Stack, slurm: Slurm) -> None:
    warm = job("true")
    await stack.core.create(bulk(warm))
    await stack.core.wait_update(warm["id"], state="SUCCESS")
    agent = process_of("slurm_provider.sidecar.agent", stack, "alice")
    request = SubmitRequest(
        local_user="alice",
        name="uc-held-up",
        account="users",
        partition="main",
        nodes=1,
        folder=str(stack.job_folder("alice", "held-up")),
        control_folder=".ucloud",
        script="true",
        start_within_seconds=1,
    )
    os.kill(agent, signal.SIGSTOP)
    async with grpc.aio.insecure_channel(f"unix:{stack.folder}/run/sidecar.sock") as channel:
        submitting = asyncio.ensure_future(SubmissionServiceStub(channel).Submit(request))
        await asyncio.sleep(1.5)
        os.kill(agent, signal.SIGCONT)
        response = await submitting
    assert "in time" in response.doubt.reason
    assert slurm.jobs_named("uc-held-up") == []


async def test_a_folder_that_another_user_made_first_is_refused(stack: Stack) -> None:
    made = job("true", user="carol")
    stack.run("users", "map", "carol", "bob", "--account", "users").check_returncode()
    drive = stack.folder / "drives/123"
    theirs = drive / "bob"
    if theirs.exists():
        theirs.rename(drive / "bob-aside")
    theirs.mkdir()
    alice = pwd.getpwnam("alice")
    os.chown(theirs, alice.pw_uid, alice.pw_gid)
    theirs.chmod(0o777)
    try:
        await stack.core.create(bulk(made))
        update = await stack.core.wait_update(made["id"], state="FAILURE")
        assert "could be another user's" in update["status"] or "somebody else" in update["status"]
    finally:
        for path in sorted(theirs.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        theirs.rmdir()
        if (drive / "bob-aside").exists():
            (drive / "bob-aside").rename(theirs)


async def test_a_spawner_that_ends_takes_the_sidecar_with_it(slurm: Slurm) -> None:
    async with running_stack(fresh_folder("spawner")) as stack:
        os.kill(process_of("slurm_provider.sidecar.spawner", stack), signal.SIGKILL)
        async with asyncio.timeout(20):
            while stack.sidecar.running:
                await asyncio.sleep(0.05)
        assert "start the sidecar anew" in (stack.folder / "log/sidecar.log").read_text()
        made = job("echo once")
        assert (await stack.core.create(bulk(made)))["status"] == 200
        await stack.sidecar.start()
        await stack.core.wait_update(made["id"], state="SUCCESS", timeout=40)
        assert len(slurm.accounting(made["id"])) <= 1
