"""Desktops of jobs over WebSockets, as noVNC opens them."""

import asyncio
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.cluster.conftest import fresh_folder
from tests.support.applications import bash, job_of
from tests.support.desktop import GREETING
from tests.support.jobs import bulk
from tests.support.processes import ROOT
from tests.support.stack import Stack, running_stack
from tests.support.web import web_settings

REFUSED = 1008


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("desktops"), web_settings()) as stack:
        shutil.copy(ROOT / "tests/support/desktop.py", stack.folder / "software/desktop.py")
        yield stack


async def start(stack: Stack, kind: str) -> Any:
    """Start a job with a desktop whose password is `secret`."""
    command = f'exec {ROOT}/.venv/bin/python {stack.folder}/software/desktop.py {kind} "$UCLOUD_PORT"'
    made = job_of(*bash(command), applicationType="VNC", vnc={"port": 0, "password": "secret"})
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    return made


async def session(stack: Stack, job: Any) -> Any:
    item = {"job": job, "rank": 0, "sessionType": "VNC"}
    reply = await stack.core.call("jobs/interactiveSession", bulk(item), user="user")
    assert reply["status"] == 200, reply
    return reply["body"]["responses"][0]


def novnc(stack: Stack, path: str) -> connect:
    address = stack.url.replace("http", "ws") + path
    return connect(address, subprotocols=[Subprotocol("binary")], max_size=None, proxy=None)


async def greeted(connection: ClientConnection) -> None:
    received = b""
    while len(received) < len(GREETING):
        message = await connection.recv()
        assert isinstance(message, bytes)
        received += message
    assert received == GREETING


async def opened(stack: Stack, path: str) -> ClientConnection:
    """Return a connection that has been greeted, as soon as the desktop is there."""
    async with asyncio.timeout(30):
        while True:
            connection = await novnc(stack, path)
            try:
                await greeted(connection)
            except ConnectionClosed as error:
                assert error.rcvd
                assert error.rcvd.code == 1013, error
            else:
                return connection


async def why(stack: Stack, path: str) -> tuple[int, str]:
    """Return with which code and words a connection is closed."""
    async with novnc(stack, path) as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd
    return closed.value.rcvd.code, closed.value.rcvd.reason


@pytest.mark.parametrize("kind", ["rfb", "websockify"])
async def test_a_desktop_is_shown_whatever_it_speaks(stack: Stack, kind: str) -> None:
    job = await start(stack, kind)
    found = await session(stack, job)
    assert (found["type"], found["password"]) == ("vnc", "secret")
    connection = await opened(stack, found["url"])
    assert connection.subprotocol == "binary"
    for size in (1, 1_000, 3_000_000):
        data = secrets.token_bytes(size)
        await connection.send(data)
        received = b""
        while len(received) < size:
            message = await connection.recv()
            assert isinstance(message, bytes)
            received += message
        assert received == data
    again = await opened(stack, found["url"])  # noVNC connects anew after a lost connection
    await again.close()
    await stack.core.call("jobs/terminate", bulk(job), user="user")
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == REFUSED
    assert await why(stack, found["url"]) == (REFUSED, "the job has ended")


async def test_a_desktop_opens_for_its_own_token_alone_and_within_a_time(stack: Stack) -> None:
    job = await start(stack, "rfb")
    used, unused = await session(stack, job), await session(stack, job)
    path = used["url"].partition("=")[0]
    item = {"job": job, "rank": 0, "sessionType": "WEB"}
    reply = await stack.core.call("jobs/interactiveSession", bulk(item), user="user")
    web_token = reply["body"]["responses"][0]["redirectClientTo"].partition("token=")[2]
    for guess in ("A" * 43, "", web_token):
        code, _ = await why(stack, f"{path}={guess}")
        assert code == REFUSED
    await (await opened(stack, used["url"])).close()
    with closing(sqlite3.connect(stack.jobmap_path)) as jobmap, jobmap:
        # As if five minutes had passed.
        jobmap.execute("UPDATE sessions SET expires_at = expires_at - 301")
    await (await opened(stack, used["url"])).close()
    assert await why(stack, unused["url"]) == (REFUSED, "the session has expired")
    await stack.core.call("jobs/terminate", bulk(job), user="user")
