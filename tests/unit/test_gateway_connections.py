"""Connections of browsers with the gateway: how many, how slow, and what becomes of one that is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.facade.gateway import connection
from slurm_provider.facade.gateway.clients import Clients
from slurm_provider.jobmap import JobChange, JobMap, LinkUse, PublicLink
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.running_facade import running_facade

HOST = "app-mine.apps.example.org"
LINK = PublicLink("41231", HOST, "links", "links", "user", None, 4_000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Application:
    """Stands where the tunnels of a cluster are: each connection's other end is given to the test."""

    def __init__(self) -> None:
        self.opened: asyncio.Queue[socket.socket] = asyncio.Queue()
        self._all: list[socket.socket] = []

    @property
    def tunnels(self) -> "Application":
        return self

    async def open(self, replica: Any, port: Any) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._all.append(theirs)
        self.opened.put_nowait(theirs)
        return ours

    async def next(self) -> socket.socket:
        async with asyncio.timeout(20):
            return await self.opened.get()

    async def close(self) -> None:
        for opened in self._all:
            opened.close()


class Site:
    """A gateway with an application behind a public link."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.application = Application()

    @asynccontextmanager
    async def browser(self) -> AsyncIterator["Browser"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Browser(reader, writer)
        finally:
            writer.close()


class Browser:
    """One connection of a browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def ask(self, *lines: str, method: str = "GET") -> None:
        text = "\r\n".join([f"{method} / HTTP/1.1", f"Host: {HOST}", *lines, "", ""])
        self.writer.write(text.encode())

    async def hear(self) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(head.split()[1]), await self._reader.readexactly(length)


@asynccontextmanager
async def site(folder: Path, more: str = "") -> AsyncIterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found = Site(free.getsockname()[1])
    web = f'[web]\nsuffix = ".apps.example.org"\nlisten = "127.0.0.1:{found.port}"\n'
    async with running_facade(folder, web + more) as facade:
        services: Any = facade.services
        services.clusters["hpc"] = found.application
        row = job(state=JobState.RUNNING, slurm_id=7, folder="/job")
        await services.jobmap.call(lambda jobmap: jobmap.links.add([LINK]))
        change = JobChange(row.job_id, links=[LinkUse("41231", 8888)])
        await services.jobmap.call(JobMap.add_jobs, [(row, change)])
        try:
            yield found
        finally:
            await found.application.close()


async def read(connection: socket.socket) -> bytes:
    async with asyncio.timeout(20):
        return await asyncio.get_running_loop().sock_recv(connection, 1 << 16)


async def test_a_client_has_only_so_many_connections() -> None:
    clients = Clients(2)
    assert [clients.enter(name) for name in "aaab"] == [True, True, False, True]
    clients.leave("a")
    assert clients.enter("a")


async def test_a_public_link_has_only_so_many_connections(tmp_path: Path) -> None:
    async with (
        site(tmp_path, "connections_per_link = 1\n") as here,
        here.browser() as first,
        here.browser() as second,
    ):
        first.ask()
        application = await here.application.next()
        assert (await read(application)).startswith(b"GET / ")
        second.ask()
        status, words = await second.hear()
        assert status == 429
        assert b"public link has as many connections as it may have" in words
        application.send(ANSWER)
        assert await first.hear() == (200, b"hi")
        (await here.application.next()).close()  # that of the second
        async with here.browser() as third:
            third.ask()
            (await here.application.next()).send(ANSWER)
            assert await third.hear() == (200, b"hi")


async def test_a_client_behind_the_proxy_is_counted_by_its_own_address(tmp_path: Path) -> None:
    one, other = (f"X-Forwarded-For: 192.0.2.{number}" for number in (1, 2))
    async with (
        site(tmp_path, "connections_per_client = 1\n") as here,
        here.browser() as first,
        here.browser() as second,
        here.browser() as third,
    ):
        first.ask(one)
        application = await here.application.next()
        second.ask(one)
        status, words = await second.hear()
        assert status == 429
        assert b"as many connections from this address as the site allows" in words
        third.ask(other)
        another = await here.application.next()
        for connected, browser in ((application, first), (another, third)):
            await read(connected)
            connected.send(ANSWER)
            assert await browser.hear() == (200, b"hi")


async def test_a_connection_for_which_there_is_no_room_is_told_so(tmp_path: Path) -> None:
    async with site(tmp_path, "connections = 1\n") as here, here.browser() as first:
        first.ask()
        (await here.application.next()).send(ANSWER)
        assert (await first.hear())[0] == 200
        async with here.browser() as second:
            second.ask()
            status, words = await second.hear()
            assert status == 503
            assert b"As many connections are open as the site allows" in words


async def test_a_head_that_comes_too_slowly_is_answered_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    async with site(tmp_path) as here, here.browser() as browser:
        browser.writer.write(b"GET / HTTP/1.1\r\n")
        status, words = await browser.hear()
        assert status == 408
        assert b"has not come within 0.05 seconds" in words


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("POST", False)])
async def test_what_a_closed_connection_has_not_answered_is_asked_once_more_if_that_does_no_harm(
    tmp_path: Path, method: str, again: bool
) -> None:
    async with site(tmp_path) as here, here.browser() as browser:
        browser.ask()
        first = await here.application.next()
        first.send(ANSWER)
        assert (await browser.hear())[0] == 200
        assert (await read(first)).startswith(b"GET / ")
        browser.ask("Content-Length: 0", method=method)
        assert (await read(first)).startswith(method.encode())
        first.close()
        if again:
            second = await here.application.next()
            assert (await read(second)).startswith(b"GET / ")
            second.close()  # a new connection that is lost as well is a failure
        assert (await browser.hear())[0] == 502
        assert here.application.opened.empty()


async def test_a_browser_that_goes_after_it_has_asked_more_is_noticed(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        async with here.browser() as browser:
            browser.ask()
            application = await here.application.next()
            assert (await read(application)).startswith(b"GET / ")
            browser.writer.write(b"GET /next HTTP/1.1\r\n")
            await browser.writer.drain()
        assert await read(application) == b""
