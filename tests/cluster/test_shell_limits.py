"""How long terminals last, how many there may be, and many at a time."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.shells import connected, running, session_with, terminal
from tests.support.stack import Settings, Stack, running_stack
from tests.support.typists import typists

LIMITS = """
[sessions]
shell_idle_seconds = 3
shell_lifetime_seconds = 8
open_within_seconds = 2
per_user = 3
"""


@pytest.fixture(scope="module")
async def strict() -> AsyncIterator[Stack]:
    """A provider with narrow limits, and today's Core."""
    async with running_stack(fresh_folder("shell-limits"), Settings(era="today", more=LIMITS)) as stack:
        yield stack


async def test_an_idle_terminal_is_closed_with_a_message(strict: Stack) -> None:
    made = await running(strict, job("sleep 600"))
    async with terminal(strict, await session_with(strict, made)) as shell:
        await shell.run("echo $((6 * 7))", "42")
        assert {"type": "message", "streamId": "2", "payload": {"type": "ack"}} in shell.frames
        assert await shell.ended() == 1000
        assert "The terminal is closed: nothing was typed or printed for too long." in shell.seen


async def test_no_terminal_outlives_its_lifetime_however_busy_it_is(strict: Stack) -> None:
    made = await running(strict, job("sleep 600"))
    session = await session_with(strict, made)
    async with terminal(strict, session) as shell:
        await shell.run("while :; do echo on; sleep 0.5; done", "on\r\n")
        assert await shell.ended() == 1000
        assert "it has been open for as long as the site allows" in shell.seen
    async with connected(strict, session) as shell:
        await shell.send(type="initialize", sessionIdentifier=session, cols=80, rows=24)
        assert await shell.ended() == 1008


async def test_an_identifier_that_is_not_used_in_time_is_good_for_nothing(strict: Stack) -> None:
    made = await running(strict, job("sleep 600"))
    session = await session_with(strict, made)
    async with connected(strict, session) as shell:
        async with asyncio.timeout(30):
            while json.loads(strict.run("sessions", "ls", "--json").stdout):
                await asyncio.sleep(0.1)
        await shell.send(type="initialize", sessionIdentifier=session, cols=80, rows=24)
        assert await shell.ended() == 1008
        assert shell.frames[-1]["payload"]["why"] == "the session has expired"


async def test_a_user_has_only_so_many_sessions(strict: Stack) -> None:
    made = await running(strict, job("sleep 600", user="bob"))
    for _ in range(3):
        await session_with(strict, made, user="bob")
    item = {"job": made, "rank": 0, "sessionType": "SHELL"}
    answer = await strict.core.call("jobs/interactiveSession", bulk(item), user="bob")
    assert answer["status"] == 400
    assert "3 open sessions of 'bob'" in answer["body"]["why"]


async def test_many_terminals_are_typed_into_and_each_key_appears(stack: Stack) -> None:
    jobs = [await running(stack, job("sleep 600", user=user)) for user in ("alice", "bob")]
    async with typists(stack, jobs, 20) as all_of_them:
        for typist in all_of_them:
            await typist.press()
            await typist.press()
    assert all(len(typist.delays) == 2 for typist in all_of_them)
