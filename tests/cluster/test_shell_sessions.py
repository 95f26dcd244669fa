"""Who may use a terminal, for how long, and what is left of it afterwards."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.shells import connected, running, session_with, terminal
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

MARK = "sleep 98765"


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Stack]:
    """A provider that keeps terminals for a short while, and agents hardly at all."""
    settings = Settings(more="[sessions]\nreconnect_seconds = 6\n", sidecar="agent_idle_seconds = 1")
    async with running_stack(fresh_folder("shell-sessions"), settings) as stack:
        yield stack


def processes(mark: str) -> list[int]:
    """Return the processes of users whose command line holds a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes().replace(b"\0", b" ") and path.stat().st_uid != 0:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


async def gone(mark: str, seconds: float = 20) -> None:
    """Wait until no process bears a mark any more."""
    async with asyncio.timeout(seconds):
        while processes(mark):
            await asyncio.sleep(0.1)


async def ls(stack: Stack, *options: str) -> list[dict[str, Any]]:
    """Return `sessions ls --json`."""
    return list(json.loads(stack.run("sessions", "ls", "--json", *options).stdout))


async def busy(shell: Any, mark: str) -> None:
    """Have a marked process run in the terminal."""
    await shell.run(f"echo begins; {mark}", "begins\r\n")
    async with asyncio.timeout(10):
        while not processes(mark):
            await asyncio.sleep(0.05)


async def test_whoever_comes_back_in_time_finds_the_same_shell_with_its_screen(provider: Stack) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    async with terminal(provider, session) as shell:
        await shell.run("mine=$((6 * 7)); echo first-$mine", "first-42")
        await shell.leave()
    async with terminal(provider, session) as shell:
        await shell.sees("first-42")
        assert shell.seen.startswith("\x1bc")
        await shell.run("echo still-$mine", "still-42")
        # Meanwhile the program prints more than is kept, and waits for nobody.
        await shell.run("echo go; sleep 1; seq 300000; touch printed", "go\r\n")
        await shell.leave()
    async with asyncio.timeout(20):
        while not (provider.job_folder("alice", made["id"]) / "printed").exists():
            await asyncio.sleep(0.1)
    async with terminal(provider, session) as shell:
        await shell.sees("300000\r\n")
        await shell.run("echo still-$mine", "still-42")


async def test_a_full_screen_program_is_made_to_draw_its_screen_again(provider: Stack) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    draw = r"printf '\033[?1049h'; trap 'echo drawn $(stty size)' WINCH; while :; do sleep 0.1; done"
    async with terminal(provider, session) as shell:
        await shell.type(f'bash -c "{draw}"\r'.replace("$", r"\$"))
        await shell.sees("\x1b[?1049h")
        await shell.leave()
    async with terminal(provider, session) as shell:
        await shell.sees("drawn 24 80")
        assert "\x1b[?1049h" in shell.seen


async def test_a_terminal_to_which_nobody_comes_back_is_ended_with_all_in_it(provider: Stack) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    mark = f"{MARK}1"
    async with terminal(provider, session) as shell:
        await busy(shell, mark)
        await shell.leave()
    left_at = time.monotonic()
    await gone(mark)
    assert time.monotonic() - left_at > 4
    async with terminal(provider, session) as shell:  # the session is still good, for another shell
        await shell.run("echo new-${mine:-shell}", "new-shell")


async def test_a_facade_that_was_killed_finds_the_terminal_again(provider: Stack) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    async with terminal(provider, session) as shell:
        await shell.run("mine=$((6 * 7)); echo first-$mine", "first-42")
        await provider.facade.kill()
        await shell.ended()
    await provider.facade.start()
    async with terminal(provider, session) as shell:
        await shell.sees("first-42")
        await shell.run("echo still-$mine", "still-42")
        await shell.leave()


async def test_a_second_window_takes_the_terminal_over_and_the_first_is_told(provider: Stack) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    async with terminal(provider, session) as first:
        await first.run("mine=$((6 * 7)); echo first-$mine", "first-42")
        async with terminal(provider, session) as second:
            await first.sees("The terminal has been opened elsewhere.")
            assert await first.ended() == 1000
            await second.run("echo still-$mine", "still-42")


ENDS = ("terminate", "updateAcl", "sessions close", "sessions close --job")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("looked_at", [True, False])
async def test_what_ends_a_session_ends_its_terminal_and_all_in_it(
    provider: Stack, slurm: Slurm, end: str, looked_at: bool
) -> None:
    made = await running(provider, job("sleep 600"))
    mark = f"{MARK}{ENDS.index(end)}{int(looked_at)}7"
    session = await session_with(provider, made)
    async with terminal(provider, session) as shell:
        await busy(shell, mark)
        if not looked_at:
            await shell.leave()
        (row,) = [row for row in await ls(provider) if row["job_id"] == made["id"]]
        assert (row["kind"], row["rank"], row["ucloud_user"]) == ("SHELL", 0, "user")
        assert row["client"] == "127.0.0.1"
        started = time.monotonic()
        match end:
            case "terminate":
                await provider.core.call("jobs/terminate", bulk(made), user="user")
            case "updateAcl":
                deleted = [{"type": "user", "username": "user"}]
                item = {"resource": made, "added": [], "deleted": deleted}
                answer = await provider.core.call("jobs/updateAcl", bulk(item), user="user")
                assert answer["status"] == 200, answer
            case "sessions close":
                provider.run("sessions", "close", str(row["number"])).check_returncode()
            case _:
                provider.run("sessions", "close", "--job", made["id"]).check_returncode()
        await gone(mark)
        assert time.monotonic() - started < 5
        if looked_at:
            await shell.ended()
            assert "The terminal is closed: " in shell.seen
    async with connected(provider, session) as shell:
        await shell.send(type="initialize", sessionIdentifier=session, cols=80, rows=24)
        await shell.ended()
        assert shell.frames[-1]["status"] == 401
    slurm_id = str(provider.overview(made["id"])["slurm_id"])
    slurm.run("scancel", slurm_id)


async def test_a_terminal_ends_with_its_job(provider: Stack) -> None:
    made = await running(provider, job("sleep 8"))
    async with terminal(provider, await session_with(provider, made)) as shell:
        await busy(shell, f"{MARK}5")
        await shell.ended()
    await gone(f"{MARK}5")


@pytest.mark.parametrize("secret", ["guessed", "", "web"])
async def test_a_session_that_is_not_one_of_a_terminal_is_refused(provider: Stack, secret: str) -> None:
    async with connected(provider, secret) as shell:
        await shell.send(type="input", data="touch /tmp/never\r")  # before anything was opened
        await shell.send(type="initialize", sessionIdentifier=secret, cols=80, rows=24)
        assert await shell.ended() == 1008
        (frame,) = shell.frames
        assert (frame["type"], frame["status"], frame["streamId"]) == ("response", 401, "2")
        assert "not known" in frame["payload"]["why"]


async def test_frames_that_mean_nothing_are_skipped_and_too_large_ones_end_the_connection(
    provider: Stack,
) -> None:
    made = await running(provider, job("sleep 600"))
    session = await session_with(provider, made)
    async with terminal(provider, session) as shell:
        unknown = '{"streamId":"1","payload":{"type":"x"}}'
        for frame in ("{", "[]", "null", "\0", '{"streamId": 1}', unknown, b"\xff"):
            await shell.connection.send(frame)
        await shell.send(type="resize", cols=-1, rows=10**9)
        for number in range(10_000):
            await shell.send(type="resize", cols=20 + number % 100, rows=10 + number % 50)
        # What is typed may arrive before the last size does.
        await shell.run("until [ \"$(stty size)\" = '59 119' ]; do sleep 1; done; echo set''tled", "settled")
        with suppress(ConnectionClosed):  # which may come before all is sent
            await shell.type("x" * (5 << 20))
        assert await shell.ended() == 1009
    async with terminal(provider, session) as shell:
        await shell.run("echo here-$((1 + 1))", "here-2")


async def folder_session(stack: Stack, folder: str, user: str = "user") -> dict[str, Any]:
    """Ask for a terminal in a folder; return the answer."""
    return dict(await stack.core.call("jobs/openTerminalInFolder", bulk({"folder": folder}), user=user))


async def test_a_terminal_in_a_folder_is_a_login_shell_of_whoever_asks(provider: Stack) -> None:
    files = provider.folder / "drives/123/bobs"
    files.mkdir()
    os.chown(files, 1001, 1001)
    answer = await folder_session(provider, "/123/bobs", user="bob")
    (opened,) = answer["body"]["responses"]
    assert (opened["type"], opened["jobId"], opened["rank"]) == ("shell", "/123/bobs", 0)
    async with terminal(provider, opened["sessionIdentifier"]) as shell:
        await shell.run("echo $(pwd) $(id -un) $(shopt login_shell)", f"{files} bob login_shell on")
        await shell.run(f"({MARK}6 & disown) ; echo $((1 + 1))-left", "2-left")
        await shell.type("exit\r")
        await shell.ended()
    await gone(f"{MARK}6")


async def test_no_terminal_leaves_its_drive(provider: Stack) -> None:
    link = provider.folder / "drives/123/way-out"
    link.symlink_to("/etc")
    answer = await folder_session(provider, "/123/way-out")
    async with terminal(provider, answer["body"]["responses"][0]["sessionIdentifier"]) as shell:
        await shell.sees("a symbolic link leads out of its drive")
        await shell.ended()
    for folder in ("/123/../..", "/unknown/x"):
        assert (await folder_session(provider, folder))["status"] == 400
    assert (await folder_session(provider, "/123", user="stranger"))["status"] == 400
