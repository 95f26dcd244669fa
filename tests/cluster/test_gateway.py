"""Web applications of jobs through the gateway, as users see them."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk
from tests.support.processes import command_lines
from tests.support.stack import Stack, free_port, running_stack
from tests.support.web import (
    Raw,
    WebJob,
    gateway_port,
    listening,
    memory_kib,
    start_web_job,
    target_of,
    web_settings,
    web_socket,
)


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("gateway"), web_settings()) as stack:
        yield stack


@pytest.fixture(scope="module")
async def job(stack: Stack) -> WebJob:
    made = await start_web_job(stack, replicas=2)
    await listening(made, await made.cookie())
    return made


@pytest.fixture
async def cookie(job: WebJob) -> str:
    return await job.cookie()


async def test_a_link_lets_a_browser_in_by_a_cookie_of_its_own(job: WebJob) -> None:
    link = await job.link()
    async with job.browser() as browser:
        answer = await browser.get(target_of(link))
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        cookie = answer.headers["set-cookie"]
        assert link.rpartition("=")[2] not in cookie
        assert {"Path=/", "HttpOnly", "SameSite=Lax"} < set(cookie.split("; "))
        assert "Domain" not in cookie
    async with job.browser(cookie=cookie.partition(";")[0]) as browser:
        seen = (await browser.get("/some/path?a=b")).json()
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/some/path", {"a": "b"})
    assert seen["rank"] == "0"


async def test_the_application_never_sees_our_cookie_and_learns_who_asks(job: WebJob, cookie: str) -> None:
    async with job.browser(cookie=f"theirs=1; {cookie}; more=2") as browser:
        seen = (await browser.get("/", headers={"x-forwarded-for": "1.1.1.1, 192.0.2.7"})).json()
    headers = dict(line.split(": ", 1) for line in seen["headers"])
    assert headers["cookie"] == "theirs=1; more=2"
    assert headers["host"] == headers["x-forwarded-host"] == job.host()
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("192.0.2.7", "http")
    assert json.dumps(seen).count("192.0.2.7") == 1


async def test_a_request_without_a_session_is_told_to_open_the_application_again(job: WebJob) -> None:
    async with job.browser() as browser:
        page = await browser.get("/", headers={"accept": "text/html"})
        program = await browser.get("/")
    assert (page.status_code, program.status_code) == (401, 401)
    assert "Open the application again from UCloud" in page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Open the application again" in program.json()["why"]


async def test_each_rank_has_its_own_domain_and_session(job: WebJob) -> None:
    cookie = await job.cookie(rank=1)
    await listening(job, cookie, rank=1)
    async with job.browser(1, cookie) as browser:
        assert (await browser.get("/")).json()["rank"] == "1"


async def test_a_domain_of_no_job_leads_nowhere(job: WebJob, stack: Stack) -> None:
    async with job.browser() as browser:
        answer = await browser.get("/", headers={"host": f"www.example.org:{gateway_port(stack)}"})
    assert answer.status_code == 404


# bodies


async def test_uploads_and_downloads_arrive_whole(job: WebJob, cookie: str) -> None:
    sent = random.Random(1).randbytes(20_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 70_001):
            yield sent[start : start + 70_001]

    wanted = hashlib.sha256(sent).hexdigest()
    async with job.browser(cookie=cookie) as browser:
        assert (await browser.post("/digest", content=sent)).text == wanted
        assert (await browser.post("/digest", content=pieces())).text == wanted
        got = await browser.get("/bytes?n=30000001")
    assert hashlib.sha256(got.content).digest() == hashlib.sha256(_bytes(30_000_001)).digest()


def _bytes(count: int) -> bytes:
    return (bytes(range(256)) * (count // 256 + 1))[:count]


async def test_what_the_application_streams_is_seen_as_it_comes(job: WebJob, cookie: str) -> None:
    async with job.browser(cookie=cookie) as browser, browser.stream("GET", "/events?n=6") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        times = [time.monotonic() async for line in answer.aiter_lines() if line]
    assert len(times) == 6
    assert times[-1] - times[0] > 0.2


async def test_a_slow_browser_holds_the_application_back(job: WebJob, stack: Stack, cookie: str) -> None:
    before = memory_kib(stack.facade.pid)
    async with Raw.to(stack) as raw:
        await raw.say("GET /bytes?n=400000000 HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}")
        await raw.reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(20):
            while await _moves(stack):
                pass
        assert memory_kib(stack.facade.pid) - before < 20_000


async def _moves(stack: Stack) -> bool:
    """Say whether the façade uses its processor within a moment."""
    before = _ticks(stack.facade.pid)
    await asyncio.sleep(0.5)
    return _ticks(stack.facade.pid) - before > 5


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answers_without_a_body_end_with_their_head(
    job: WebJob, stack: Stack, cookie: str, method: str, status: int
) -> None:
    async with Raw.to(stack) as raw:
        for _ in range(2):
            await raw.say(
                f"{method} /status?is={status} HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}"
            )
            head = (await raw.reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith(f"HTTP/1.1 {status} ")


async def test_a_connection_is_used_again(job: WebJob, stack: Stack, cookie: str) -> None:
    async with Raw.to(stack) as raw:
        for number in range(5):
            await raw.say(f"GET /{number} HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}")
        for number in range(5):
            status, _, body = await raw.hear()
            assert (status, json.loads(body)["path"]) == (200, f"/{number}")


async def test_http_1_0_is_answered_and_the_connection_ended(job: WebJob, stack: Stack, cookie: str) -> None:
    for path, expected in (("/events?n=2", b"data: 0\n\ndata: 1\n\n"), ("/until-the-end", b"all of it")):
        async with Raw.to(stack) as raw:
            await raw.say(f"GET {path} HTTP/1.0", f"Host: {job.host()}", f"Cookie: {cookie}")
            head, _, body = (await raw.rest()).partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        assert body == expected


async def test_a_client_may_ask_before_it_sends_much(job: WebJob, stack: Stack, cookie: str) -> None:
    async with Raw.to(stack) as raw:
        await raw.say(
            "POST /digest HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}", "Content-Length: 3",
            "Expect: 100-continue",
        )  # fmt: skip
        assert (await raw.hear())[0] == 100
        await raw.send(b"abc")
        assert (await raw.hear())[2].decode() == hashlib.sha256(b"abc").hexdigest()


async def test_an_answer_that_comes_before_the_body_is_seen(job: WebJob, stack: Stack, cookie: str) -> None:
    async with Raw.to(stack) as raw:
        await raw.say(
            "POST /refuse-body HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}",
            "Content-Length: 1000000000",
        )  # fmt: skip
        await raw.send(bytes(100_000))
        status, head, body = await raw.hear()
        assert (status, body) == (413, b"too much")
        assert "connection: close" in head.lower()


@pytest.mark.parametrize("how", ["/dies", "/dies?chunked=1"])
async def test_an_answer_that_breaks_off_does_not_look_whole(job: WebJob, cookie: str, how: str) -> None:
    async with job.browser(cookie=cookie) as browser:
        with pytest.raises(httpx.TransportError):
            await browser.get(how)


@pytest.mark.parametrize("how", ["/forever", "/forever?loud=1"])
async def test_when_the_browser_goes_the_application_notices(
    job: WebJob, stack: Stack, cookie: str, how: str
) -> None:
    async with Raw.to(stack) as raw:
        await raw.say(f"GET {how} HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}")
        await raw.reader.readuntil(b"begun")
        gone = job.printed().count("a client has gone")
    async with asyncio.timeout(10):
        while job.printed().count("a client has gone") == gone:
            await asyncio.sleep(0.05)


# WebSockets


async def test_websockets_go_through(job: WebJob, stack: Stack, cookie: str) -> None:
    async with web_socket(job, cookie, origin=f"http://{job.host()}") as socket:
        for size in (1, 125, 126, 40_000):
            await socket.send("x" * size)
            assert await socket.recv() == "x" * size


async def test_a_refused_upgrade_is_an_ordinary_answer(job: WebJob, stack: Stack, cookie: str) -> None:
    async with Raw.to(stack) as raw:
        await raw.say(
            "GET /elsewhere HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}", "Upgrade: websocket",
            "Connection: Upgrade",
        )  # fmt: skip
        status, _, body = await raw.hear()
        assert (status, json.loads(body)["path"]) == (200, "/elsewhere")


# ends


async def test_closing_the_sessions_ends_what_is_open(job: WebJob, stack: Stack) -> None:
    cookie = await job.cookie()
    async with web_socket(job, cookie, origin=f"http://{job.host()}") as socket:
        await socket.send("there")
        assert await socket.recv() == "there"
        item = {
            "resource": job.job,
            "added": [],
            "deleted": [{"type": "user", "username": "user"}],
        }
        assert (await stack.core.call("jobs/updateAcl", bulk(item)))["status"] == 200
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get("/")
    assert answer.status_code == 401
    assert "The job is no longer shared with the user." in answer.json()["why"]


async def test_when_the_job_ends_connections_do_and_the_page_says_so(stack: Stack) -> None:
    job = await start_web_job(stack)
    cookie = await job.cookie()
    await listening(job, cookie)
    async with web_socket(job, cookie, origin=f"http://{job.host()}") as socket:
        await stack.core.call("jobs/terminate", bulk(job.job), user="user")
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get("/", headers={"accept": "text/html"})
    assert answer.status_code == 410
    assert "The job has ended" in answer.text


async def test_an_application_that_is_not_ready_is_waited_for(stack: Stack) -> None:
    program = stack.folder / "software/web_application.py"
    wait = "until [ -e go ]; do sleep 0.1; done"
    job = await start_web_job(stack, script=f'{wait}; exec /usr/bin/python3 {program} "$UCLOUD_PORT"')
    cookie = await job.cookie()
    async with job.browser(cookie=cookie) as browser:
        page = await browser.get("/", headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "not ready yet" in page.text
        assert 'http-equiv="refresh"' in page.text
        assert page.headers["retry-after"] == "3"
        (stack.job_folder("alice", job.id) / "go").touch()
        await listening(job, cookie)
        assert (await browser.get("/")).status_code == 200
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


async def test_an_application_with_a_port_of_its_own_is_reached_there(stack: Stack) -> None:
    port = free_port()
    job = await start_web_job(stack, port=port)
    cookie = await job.cookie()
    await listening(job, cookie)
    async with job.browser(cookie=cookie) as browser:
        assert (await browser.get("/")).status_code == 200
    assert f" {port}" in job.printed() or "listening" in job.printed()
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


async def no_steps_are_left(stack: Stack, job: WebJob) -> None:
    """Wait until nothing asks the job's nodes any more who listens there."""
    step = f"--jobid={stack.overview(job.id)['slurm_id']}\0--overlap".encode()
    async with asyncio.timeout(20):
        while any(step in line for line in command_lines()):
            await asyncio.sleep(0.1)


async def test_sessions_outlive_both_programs(job: WebJob, stack: Stack, cookie: str) -> None:
    await stack.sidecar.stop()
    await no_steps_are_left(stack, job)
    await stack.sidecar.start()
    await listening(job, cookie)
    await stack.facade.stop()
    await stack.facade.start()
    async with job.browser(cookie=cookie) as browser:
        assert (await browser.get("/")).status_code == 200
