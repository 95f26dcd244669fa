"""What strangers, other users and jobs try at the gateway: each is refused in words, none reaches a job."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk
from tests.support.stack import Stack, running_stack
from tests.support.web import (
    Raw,
    WebJob,
    ask,
    listening,
    nothing_reaches,
    start_web_job,
    target_of,
    web_settings,
    web_socket,
)

SESSIONS = "[sessions]\nper_user = 10000\n"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("gateway-attacks"), web_settings(more=SESSIONS)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def job(stack: Stack) -> WebJob:
    made = await start_web_job(stack, replicas=2)
    await listening(made, await made.cookie())
    await listening(made, await made.cookie(rank=1), rank=1)
    return made


@pytest.fixture(scope="module")
async def other(stack: Stack) -> WebJob:
    made = await start_web_job(stack)
    await listening(made, await made.cookie())
    return made


@pytest.fixture
async def cookie(job: WebJob) -> str:
    return await job.cookie()


def expire_sessions(stack: Stack) -> None:
    """Let all sessions have been opened long ago."""
    with closing(sqlite3.connect(stack.jobmap_path)) as jobmap, jobmap:
        jobmap.execute("UPDATE sessions SET expires_at = 1")


# tokens and cookies


async def test_guessed_tokens_and_secrets_of_other_kinds_open_nothing(job: WebJob, cookie: str) -> None:
    link = target_of(await job.link())
    path, _, token = link.partition("?token=")
    shell = {"job": job.job, "rank": 0, "sessionType": "SHELL"}
    reply = await job.stack.core.call("jobs/interactiveSession", bulk(shell), user="user")
    identifier = reply["body"]["responses"][0]["sessionIdentifier"]
    secret = cookie.partition("=")[2]
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    with nothing_reaches(job):
        async with job.browser() as browser:
            for guess in ("A" * 43, token[:-1], changed, "", "%00", "%F0%9F", identifier, secret):
                answer = await browser.get(f"{path}?token={guess}")
                assert answer.status_code == 401, guess
                assert "set-cookie" not in answer.headers
            assert (await browser.get(path)).status_code == 401
        for guess in (token, identifier, "A" * 43, ""):
            async with job.browser(cookie=f"ucloud-session={guess}") as browser:
                assert (await browser.get("/")).status_code == 401, guess


async def test_a_link_and_a_cookie_that_have_expired_open_nothing(job: WebJob) -> None:
    link = target_of(await job.link())
    cookie = await job.cookie()
    async with job.browser() as browser:
        assert (await browser.get(link)).status_code == 302
        expire_sessions(job.stack)
        with nothing_reaches(job):
            again = await browser.get(link)
            page = await browser.get("/", headers={"cookie": cookie})
    for answer in (again, page):
        assert answer.status_code == 401
        assert "The session has expired." in answer.json()["why"]


async def test_a_cookie_is_good_for_one_rank_of_one_job(job: WebJob, other: WebJob, cookie: str) -> None:
    with nothing_reaches(job, other):
        for host in (job.host(1), other.host()):
            status, text = await ask(
                job.stack, "GET / HTTP/1.1", f"Host: {host}", f"Cookie: {cookie}", "Connection: close"
            )
            assert status == 401, text
    link = target_of(await job.link())
    for host in (job.host(1), other.host()):
        assert (await ask(job.stack, f"GET {link} HTTP/1.1", f"Host: {host}"))[0] == 401


# hosts and paths


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{domain}.:{port}", 400),
        ("{domain}", 421),
        ("{domain}:1", 421),
        ("{domain}:80", 421),
        ("{domain}:", 400),
        ("{domain}:{port}:{port}", 400),
        ("{domain}:{port} ", 200),
        ("{upper}:{port}", 200),
        ("", 400),
        ("127.0.0.1:{port}", 404),
        ("[::1]:{port}", 400),
        ("localhost:{port}", 404),
        ("user@{domain}:{port}", 400),
        ("{domain},{domain}:{port}", 400),
        ("{domain}%00.example.org:{port}", 400),
        ("{domain}.evil.example:{port}", 404),
        ("evil{domain}:{port}", 404),
        ("evil.{domain}:{port}", 404),
        ("x.apps.example.org:{port}", 404),
        ("apps.example.org:{port}", 404),
        (".apps.example.org:{port}", 400),
        ("app-.apps.example.org:{port}", 400),
        ("app-0-0.apps.example.org:{port}", 401),
    ],
)
async def test_only_a_jobs_own_domain_leads_to_it(
    job: WebJob, cookie: str, pattern: str, expected: int
) -> None:
    domain, _, port = job.host().partition(":")
    host = pattern.format(domain=domain, upper=domain.upper(), port=port)
    before = job.printed()
    status, text = await ask(job.stack, "GET / HTTP/1.1", f"Host: {host}", f"Cookie: {cookie}")
    assert status == expected, text
    assert (job.printed() == before) == (expected != 200)


@pytest.mark.parametrize(
    "target",
    ["http://other.example/", "//{host}/x", "*", "{host}:443", "x", "/a b", "\\x", "/\x01", "/é"],
)
async def test_odd_targets_are_refused_or_paths_like_any_other(job: WebJob, cookie: str, target: str) -> None:
    before = job.printed()
    line = f"GET {target.format(host=job.host())} HTTP/1.1"
    status, _ = await ask(job.stack, line, f"Host: {job.host()}", f"Cookie: {cookie}")
    if target.startswith("//"):
        assert status == 200  # a path that begins with two slashes, on this very host
    else:
        assert status == 400
        assert job.printed() == before


@pytest.mark.parametrize("line", ["CONNECT x:443 HTTP/1.1", "CONNECT / HTTP/1.1", "TRACE / HTTP/1.1"])
async def test_methods_that_are_not_for_applications_are_refused(job: WebJob, cookie: str, line: str) -> None:
    with nothing_reaches(job):
        status, _ = await ask(job.stack, line, f"Host: {job.host()}", f"Cookie: {cookie}")
        assert status in (400, 405)


# other web sites


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://{other}", "https://{own}"])
async def test_a_websocket_from_another_origin_is_refused(
    job: WebJob, other: WebJob, cookie: str, origin: str
) -> None:
    text = origin.format(other=other.host(), own=job.host())
    with nothing_reaches(job), pytest.raises(InvalidStatus) as refused:
        async with web_socket(job, cookie, origin=text):
            pass
    assert refused.value.response.status_code == 403
    assert b"nother web site" in bytes(refused.value.response.body or b"")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"origin": "https://evil.example"}),
        ("DELETE", {"origin": "null"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
        ("POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
    ],
    ids=str,
)
async def test_another_web_site_cannot_act_in_the_users_name(
    job: WebJob, cookie: str, method: str, headers: dict[str, str]
) -> None:
    with nothing_reaches(job):
        async with job.browser(cookie=cookie) as browser:
            answer = await browser.request(method, "/", headers=headers)
        assert answer.status_code == 403
        assert "nother web site" in answer.text


async def test_a_link_from_another_web_site_and_the_applications_own_requests_are_answered(
    job: WebJob, cookie: str
) -> None:
    async with job.browser(cookie=cookie) as browser:
        for method, headers in (
            ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate",
                     "sec-fetch-dest": "document"}),
            ("POST", {"sec-fetch-site": "same-origin", "origin": "null"}),
            ("POST", {"origin": f"http://{job.host()}"}),
            ("POST", {}),
        ):  # fmt: skip
            assert (await browser.request(method, "/", headers=headers)).status_code == 200


# too much, too slowly


async def test_a_head_that_is_too_long_is_refused(job: WebJob, cookie: str) -> None:
    with nothing_reaches(job):
        status, text = await ask(
            job.stack, "GET / HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}", "X: " + "x" * 70_000
        )
    assert status == 431
    assert "64 KiB" in text


async def test_a_head_that_comes_drop_by_drop_is_not_waited_for(job: WebJob) -> None:
    loop = asyncio.get_running_loop()
    async with Raw.to(job.stack) as raw:
        begun = loop.time()
        await raw.send(b"GET / HTTP/1.1\r\n")
        ended = asyncio.create_task(raw.rest())
        async with asyncio.timeout(25):
            while not ended.done():
                try:
                    await raw.send(b"X: y\r\n")
                except ConnectionError:
                    break
                await asyncio.wait({ended}, timeout=0.5)
        assert (await ended).startswith(b"HTTP/1.1 408 ")
        assert 10 < loop.time() - begun < 20


async def test_connections_have_limits_and_are_free_again_once_others_end() -> None:
    limits = "connections = 6\n[sessions]\nconnections_per_session = 2\n"
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(
            running_stack(fresh_folder("gateway-limits"), web_settings(more=limits))
        )
        job = await start_web_job(stack)
        cookie = await job.cookie()
        await listening(job, cookie)
        async with AsyncExitStack() as held:
            for _ in range(2):
                await held.enter_async_context(web_socket(job, cookie, origin=None))
            with pytest.raises(InvalidStatus) as refused:
                await held.enter_async_context(web_socket(job, cookie, origin=None))
            assert refused.value.response.status_code == 429
            assert b"as many connections as it may have" in bytes(refused.value.response.body or b"")
            others = [await held.enter_async_context(Raw.to(stack)) for _ in range(8)]
            for raw in others[:3]:
                await raw.send(b"GET / HTTP/1.1\r\n")  # a head that is not whole: it waits
            assert (await others[-1].rest()).startswith(b"HTTP/1.1 503 ")
        async with job.browser(cookie=cookie) as browser, asyncio.timeout(20):
            while True:
                try:
                    assert (await browser.get("/")).status_code == 200
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)


# the sidecar's own doors


async def test_the_relay_is_closed_to_others_and_gives_nothing_without_a_ticket(stack: Stack) -> None:
    path = stack.folder / "run/sidecar.sock.relay"
    assert path.stat().st_mode & 0o777 == 0o660
    assert path.parent.stat().st_mode & 0o007 == 0
    for ticket in (b"", bytes(32), b"x" * 100):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(ticket)
        writer.write_eof()
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


def test_no_secret_of_a_session_is_in_the_logs_or_the_job_map(stack: Stack) -> None:
    kept = b"".join(path.read_bytes() for path in Path(stack.folder / "var").iterdir())
    logs = b"".join(path.read_bytes() for path in Path(stack.folder / "log").glob("*.log"))
    assert b"token=" not in kept + logs
    assert b"ucloud-session" not in kept + logs
