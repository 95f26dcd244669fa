"""SSH keys from UCloud in authorized_keys, and jobs that ask for SSH, on the real cluster."""

import asyncio
import os
import pwd
import stat
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.stack import Settings, Stack, running_stack

SSH = """
[ssh]
install_keys = true
host = "login.example"
port = 2222
"""
CONNECTED = "SSH: Connected! Available at: ssh alice@login.example -p 2222"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """A provider that lets users log in; the keys of its users are gone at the end."""
    for user in ("alice", "bob"):
        make_folder_of(keys_file(user), user)
    async with running_stack(fresh_folder("ssh"), Settings(more=SSH)) as stack:
        yield stack
        for user in ("user", "bob"):
            await upload(stack, user)
        await keys_become("alice", absent=["ucloud:example/"])
        await keys_become("bob", absent=["ucloud:example/"])


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A public key as a user would paste it."""
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


def keys_file(user: str) -> Path:
    return Path(pwd.getpwnam(user).pw_dir) / ".ssh/authorized_keys"


def make_folder_of(path: Path, user: str) -> None:
    """Make the user's home, which may have been another cluster's, and a folder in it."""
    entry = pwd.getpwnam(user)
    for folder in (Path(entry.pw_dir), path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


async def upload(stack: Stack, user: str, *keys: str) -> None:
    items = [
        {
            "id": str(number),
            "owner": user,
            "createdAt": 1633588976235,
            "fingerprint": "MD5:0",
            "specification": {"title": f"Key {number}", "key": text},
        }
        for number, text in enumerate(keys)
    ]
    reply = await stack.core.call("ssh/keyUploaded", {"username": user, "allKeys": items}, user=user)
    assert (reply["status"], reply["body"]) == (200, {})


async def keys_become(user: str, present: Sequence[str] = (), absent: Sequence[str] = ()) -> str:
    """Return the user's authorized_keys once it has all that is to be present, and nothing else."""
    async with asyncio.timeout(20):
        while True:
            text = keys_file(user).read_text() if keys_file(user).exists() else ""
            if all(p in text for p in present) and not any(a in text for a in absent):
                return text
            await asyncio.sleep(0.1)


def base64_of(key: str) -> str:
    return key.split()[1]


async def test_uploaded_keys_are_installed_as_the_user_and_removed_keys_vanish(
    stack: Stack, key: str
) -> None:
    path = keys_file("bob")
    path.write_text("ssh-rsa AAAA his own")
    os.chown(path, pwd.getpwnam("bob").pw_uid, pwd.getpwnam("bob").pw_gid)
    await upload(stack, "bob", key, f'command="id" {key}', f"{key.strip()}\n{key}", "no key")
    text = await keys_become("bob", present=[base64_of(key)])
    assert text.startswith("ssh-rsa AAAA his own\n")
    assert text.count(base64_of(key)) == 1
    assert "command" not in text and "me@laptop" not in text
    assert path.owner() == "bob"
    assert not stat.S_IMODE(path.stat().st_mode) & 0o022
    await upload(stack, "bob")
    assert await keys_become("bob", absent=[base64_of(key)]) == "ssh-rsa AAAA his own\n"
    path.unlink()


async def test_nobody_gets_keys_under_anothers_name(stack: Stack, key: str) -> None:
    items = [{"owner": "bob", "specification": {"title": "", "key": key}}]
    await stack.core.call("ssh/keyUploaded", {"username": "user", "allKeys": items}, user="user")
    await stack.core.call("ssh/keyUploaded", {"username": "stranger", "allKeys": items})
    await upload(stack, "user", key)
    await keys_become("alice", present=[base64_of(key)])
    assert not keys_file("bob").exists() or base64_of(key) not in keys_file("bob").read_text()


async def test_a_job_that_asks_for_ssh_says_how_its_user_logs_in(stack: Stack, key: str) -> None:
    await upload(stack, "user")
    await keys_become("alice", absent=[base64_of(key)])
    await stack.core.set_ssh_keys("user", key)
    made = job("sleep 600", sshEnabled=True)
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], status="SSH: ")
    assert (update["state"], update["status"]) == (None, CONNECTED)
    assert base64_of(key) in keys_file("alice").read_text()
    await end(stack, made)


async def test_an_application_may_always_want_ssh(stack: Stack, key: str) -> None:
    await stack.core.set_ssh_keys("user", key)
    made = job("sleep 600")
    made["status"]["resolvedApplication"]["invocation"]["ssh"] = {"mode": "MANDATORY"}
    await stack.core.create(bulk(made))
    assert (await stack.core.wait_update(made["id"], status="SSH: "))["status"] == CONNECTED
    await end(stack, made)


async def test_a_user_without_keys_reads_what_to_do(stack: Stack) -> None:
    await stack.core.set_ssh_keys("user")
    made = job("sleep 600", sshEnabled=True)
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], status="SSH: ")
    words = "add an SSH key to your profile in UCloud, then start the job again"
    assert update["status"] == f"SSH: Failure! {words}"
    await end(stack, made)


async def test_a_file_that_must_be_left_alone_is_said_in_the_job(stack: Stack, key: str) -> None:
    await stack.core.set_ssh_keys("bob", key)
    await upload(stack, "bob")
    path = keys_file("bob")
    path.unlink(missing_ok=True)
    path.symlink_to("elsewhere")
    try:
        made = job("sleep 600", user="bob", sshEnabled=True)
        await stack.core.create(bulk(made))
        update = await stack.core.wait_update(made["id"], status="SSH: ")
        assert update["status"].startswith("SSH: Failure! ~/.ssh/authorized_keys is a symbolic link")
        await end(stack, made, user="bob")
    finally:
        path.unlink()


async def test_a_facade_that_is_killed_goes_on_with_what_it_was_asked(stack: Stack, key: str) -> None:
    await stack.core.set_ssh_keys("user", key)
    await stack.core.behave(fail_next=[{"path": "control/browseSshKeys", "status": 500, "times": 1}])
    made = job("sleep 600", sshEnabled=True)
    seq = await stack.core.last_seq()
    await stack.core.create(bulk(made))
    await stack.core.wait("control/browseSshKeys", since=seq, accepted=False)
    await stack.facade.kill()
    await stack.facade.start()
    assert (await stack.core.wait_update(made["id"], status="SSH: "))["status"] == CONNECTED
    await end(stack, made)


async def test_a_user_who_is_mapped_to_somebody_else_loses_the_old_login(stack: Stack, key: str) -> None:
    await upload(stack, "user", key)
    await keys_become("alice", present=[base64_of(key)])
    stack.run("users", "map", "user", "bob", "--account", "users").check_returncode()
    try:
        await upload(stack, "user", key)
        await keys_become("bob", present=[base64_of(key)])
        await keys_become("alice", absent=[base64_of(key)])
    finally:
        stack.run("users", "map", "user", "alice", "--account", "users").check_returncode()


async def end(stack: Stack, made: Any, user: str = "user") -> None:
    await stack.core.call("jobs/terminate", bulk(made), user=user)
    await stack.core.wait_update(made["id"], state="SUCCESS")
