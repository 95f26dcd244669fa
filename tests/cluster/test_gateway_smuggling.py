"""Requests and answers that two programs could read in two ways: none is passed on."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.stack import Stack, running_stack
from tests.support.web import (
    SUFFIX,
    Raw,
    WebJob,
    gateway_port,
    listening,
    nothing_reaches,
    start_web_job,
    web_settings,
)

SESSIONS = "[sessions]\nper_user = 10000\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("gateway-smuggling"), web_settings(more=SESSIONS)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def job(stack: Stack) -> WebJob:
    made = await start_web_job(stack)
    await listening(made, await made.cookie())
    return made


@pytest.fixture
async def cookie(job: WebJob) -> str:
    return await job.cookie()


# requests that two programs could read in two ways

CHUNKED = "Transfer-Encoding: chunked"
NO_CHUNKS = "0\r\n\r\n"

# First line, headers before our own, and what stands before the request that is smuggled.
SMUGGLING = {
    "two lengths": ("POST / HTTP/1.1", "Content-Length: 0\r\nContent-Length: {n}", ""),
    "two equal lengths": ("POST / HTTP/1.1", "Content-Length: {n}\r\nContent-Length: {n}", ""),
    "a list of lengths": ("POST / HTTP/1.1", "Content-Length: 0, {n}", ""),
    "a list of equal lengths": ("POST / HTTP/1.1", "Content-Length: {n}, {n}", ""),
    "a signed length": ("POST / HTTP/1.1", "Content-Length: +0", ""),
    "a negative length": ("POST / HTTP/1.1", "Content-Length: -1", ""),
    "a hexadecimal length": ("POST / HTTP/1.1", "Content-Length: 0x0", ""),
    "an endless length": ("POST / HTTP/1.1", "Content-Length: " + "9" * 30, ""),
    "length and chunks": ("POST / HTTP/1.1", "Content-Length: {n}\r\n" + CHUNKED, NO_CHUNKS),
    "chunks and length": ("POST / HTTP/1.1", CHUNKED + "\r\nContent-Length: 3", NO_CHUNKS),
    "chunks of HTTP/1.0": ("POST / HTTP/1.0", CHUNKED, NO_CHUNKS),
    "an odd encoding": ("POST / HTTP/1.1", "Transfer-Encoding: xchunked", NO_CHUNKS),
    "two encodings": ("POST / HTTP/1.1", CHUNKED + "\r\nTransfer-Encoding: identity", NO_CHUNKS),
    "a list of encodings": ("POST / HTTP/1.1", "Transfer-Encoding: identity, chunked", NO_CHUNKS),
    "an encoding behind a tab": ("POST / HTTP/1.1", "Transfer-Encoding: \x0bchunked", NO_CHUNKS),
    "a blank before the colon": ("POST / HTTP/1.1", "Transfer-Encoding : chunked", NO_CHUNKS),
    "a folded header": ("POST / HTTP/1.1", "X: y\r\n " + CHUNKED, NO_CHUNKS),
    "a folded first header": ("POST / HTTP/1.1", " X: y", ""),
    "a bare line feed": ("POST / HTTP/1.1\nX: y", "Content-Length: 0", ""),
    "a bare line feed between headers": ("POST / HTTP/1.1", "X: y\nContent-Length: {n}", ""),
    "a bare carriage return": ("POST / HTTP/1.1", "X: y\rContent-Length: {n}", ""),
    "a zero byte": ("POST / HTTP/1.1", "X: y\0", ""),
    "two hosts": ("GET / HTTP/1.1", "Host: other.example", ""),
    "no colon": ("GET / HTTP/1.1", "Header", ""),
    "no name": ("GET / HTTP/1.1", ": x", ""),
    "a name with a blank": ("GET / HTTP/1.1", "A B: x", ""),
    "another version": ("GET / HTTP/1.2", "X: y", ""),
    "HTTP/2": ("PRI * HTTP/2.0", "X: y", ""),
    "HTTP/0.9": ("GET /", "X: y", ""),
    "a version in small letters": ("GET / http/1.1", "X: y", ""),
    "tabs in the first line": ("GET\t/\tHTTP/1.1", "X: y", ""),
    "an empty line first": ("\r\nGET / HTTP/1.1", "X: y", ""),
    "another expectation": ("POST / HTTP/1.1", "Content-Length: 0\r\nExpect: magic", ""),
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_a_request_that_could_be_read_in_two_ways_is_refused(
    job: WebJob, cookie: str, name: str
) -> None:
    own = f"Host: {job.host()}\r\nCookie: {cookie}\r\n"
    line, headers, body = SMUGGLING[name]
    text = f"{line}\r\n{headers.format(n=len(SMUGGLED))}\r\n{own}\r\n{body}{SMUGGLED}"
    with nothing_reaches(job):
        async with Raw.to(job.stack) as raw:
            await raw.send(text.encode("latin-1"))
            status, head, answer = await raw.hear()
            assert status in (400, 417, 501, 505), head
            assert b"why" in answer
            assert await raw.rest() == b""


CHUNKS = {
    "no size": "zz\r\nabc\r\n0\r\n\r\n",
    "a negative size": "-1\r\nabc\r\n0\r\n\r\n",
    "a size that is too long": "0000000000000000000000000003\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": "0x3\r\nabc\r\n0\r\n\r\n",
    "a size that ends in a bare line feed": "3\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it says": "3\r\nabcdef\r\n0\r\n\r\n",
    "a chunk without its line end": "3\r\nabc0\r\n\r\n",
    "an endless extension": "3;" + "x" * 1_000_000 + "\r\nabc\r\n0\r\n\r\n",
    "endless trailers": "0\r\n" + "X: y\r\n" * 200_000 + "\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
async def test_chunks_that_are_none_end_the_connection(job: WebJob, cookie: str, name: str) -> None:
    async with Raw.to(job.stack) as raw:
        await raw.say(
            "POST /digest HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}",
            "Transfer-Encoding: chunked",
        )  # fmt: skip
        await raw.send((CHUNKS[name] + SMUGGLED).encode())
        status, _, body = await raw.hear()
        assert status == 400, body
        assert await raw.rest() == b""
    assert "/smuggled" not in job.printed()


async def test_what_follows_a_body_of_known_length_is_a_request_of_its_own(job: WebJob, cookie: str) -> None:
    async with Raw.to(job.stack) as raw:
        own = f"Host: {job.host()}\r\nCookie: {cookie}\r\n"
        await raw.send(f"POST /digest HTTP/1.1\r\n{own}Content-Length: 3\r\n\r\nabc{SMUGGLED}".encode())
        assert (await raw.hear())[0] == 200
        assert (await raw.hear())[0] in (404, 421)
    assert "/smuggled" not in job.printed()


# what applications try


def raw_answer(text: str) -> str:
    return "/raw?answer=" + base64.urlsafe_b64encode(text.encode("latin-1")).decode()


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: ucloud-session=evil\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: PADDING\r\n\r\n",
        "",
    ],
    ids=lambda text: text[:60],
)
async def test_an_answer_that_is_none_is_never_passed_on(job: WebJob, cookie: str, text: str) -> None:
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get(raw_answer(text))
    assert answer.status_code == 502
    assert "The application did not answer" in answer.json()["why"]


async def test_a_second_answer_that_nobody_asked_for_is_thrown_away(job: WebJob, cookie: str) -> None:
    twice = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none" * 2
    async with Raw.to(job.stack) as raw:
        for path in (raw_answer(twice) + "&stay=1", "/next"):
            await raw.say(f"GET {path} HTTP/1.1", f"Host: {job.host()}", f"Cookie: {cookie}")
        assert (await raw.hear())[2] == b"one"
        assert b'"/next"' in (await raw.hear())[2]


async def test_an_application_can_neither_replace_our_cookie_nor_set_one_for_others(
    job: WebJob, cookie: str
) -> None:
    cookies = [
        f"a=1; Domain={SUFFIX}; Path=/",
        f"b=2; path=/; DOMAIN = {SUFFIX.lstrip('.')}",
        "c=3; HttpOnly;domain=example.org;Secure",
        "ucloud-session=evil; Path=/deep",
        "__host-UCLOUD-session=evil",
        "=ucloud-session=evil",
        " ucloud-session =evil",
    ]
    lines = "".join(f"Set-Cookie: {text}\r\n" for text in cookies)
    more = 'Clear-Site-Data: "cookies"\r\nAlt-Svc: h3=":443"\r\nConnection: x-hop\r\nX-Hop: y\r\n'
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get(raw_answer(f"HTTP/1.1 200 OK\r\n{lines}{more}Content-Length: 0\r\n\r\n"))
    set_cookies = answer.headers.get_list("set-cookie")
    assert [text.split(";")[0] for text in set_cookies] == ["a=1", "b=2", "c=3"]
    assert not any("domain" in text.lower() for text in set_cookies)
    assert not {"clear-site-data", "alt-svc", "x-hop"} & set(answer.headers)
    assert answer.headers["origin-agent-cluster"] == "?1"


async def test_a_client_cannot_take_headers_away_or_add_forwarded_ones(job: WebJob, cookie: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(
            f"http://127.0.0.1:{gateway_port(job.stack)}/",
            headers={
                "host": job.host(), "cookie": cookie, "connection": "x-forwarded-for, host, te",
                "x-forwarded-host": "evil.example", "x-forwarded-proto": "gopher", "x-real-ip": "1.2.3.4",
                "forwarded": "for=1.2.3.4", "x-forwarded-for": "not an address",
            },
        )  # fmt: skip
    seen = [line.lower() for line in answer.json()["headers"]]
    assert f"host: {job.host()}" in seen
    assert [line for line in seen if "forwarded" in line or "real-ip" in line] == [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        f"x-forwarded-host: {job.host()}",
    ]
