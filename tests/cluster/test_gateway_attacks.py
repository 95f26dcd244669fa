"""What strangers, other users and jobs try at the gateway: each is refused in words, none reaches a job."""

import asyncio
import base64
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk
from tests.support.processes import as_user
from tests.support.slurm import Slurm
from tests.support.stack import Stack, free_port, running_stack
from tests.support.web import (
    SUFFIX,
    Raw,
    WebJob,
    ask,
    gateway_port,
    listening,
    start_web_job,
    target_of,
    web_settings,
    web_socket,
)

SESSIONS = "[sessions]\nper_user = 10000\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


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


@contextmanager
def nothing_reaches(*jobs: WebJob) -> Iterator[None]:
    """Assert that no request comes to these jobs' applications."""
    before = [job.printed() for job in jobs]
    yield
    assert [job.printed() for job in jobs] == before


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


# ports and nodes


async def job_with_port_file(stack: Stack, make_file: str) -> tuple[WebJob, str]:
    """Start a job that has written what it likes where its port is looked up."""
    script = f'cd "$UCLOUD_CONTROL/rank-0" && rm allocated-port.txt && {make_file}; touch done; sleep 600'
    job = await start_web_job(stack, script=script)
    done = stack.job_folder("alice", job.id) / ".ucloud/rank-0/done"
    async with asyncio.timeout(20):
        while not done.exists():
            await asyncio.sleep(0.05)
    return job, await job.cookie()


def slurmctld_port(slurm: Slurm) -> str:
    config = slurm.run("scontrol", "show", "config")
    return next(line.split()[-1] for line in config.splitlines() if line.startswith("SlurmctldPort"))


@contextmanager
def listener_of(user: str) -> Iterator[int]:
    """Let another local user serve a secret on a port of the node; give the port."""
    port = free_port()
    code = (
        "import http.server as s, sys\n"
        "class H(s.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'secret of another user')\n"
        "server = s.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), H)\n"
        "print('listening', flush=True)\n"
        "server.serve_forever()\n"
    )
    command = as_user(user, "/usr/bin/python3", "-c", code, str(port))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/") as process:
        assert process.stdout
        assert process.stdout.readline() == b"listening\n"
        try:
            yield port
        finally:
            process.terminate()


async def test_a_port_that_belongs_to_slurm_or_another_user_is_never_reached(
    stack: Stack, slurm: Slurm
) -> None:
    with listener_of("bob") as port:
        for number in (slurmctld_port(slurm), str(port)):
            job, cookie = await job_with_port_file(stack, f"echo {number} >allocated-port.txt")
            async with job.browser(cookie=cookie) as browser:
                answer = await browser.get("/")
            assert answer.status_code == 403
            assert f"ort {number} of the job's node belongs to another user" in answer.json()["why"]
            await stack.core.call("jobs/terminate", bulk(job.job), user="user")
        fixed = await start_web_job(stack, port=port, script="sleep 600")
        async with fixed.browser(cookie=await fixed.cookie()) as browser:
            answer = await browser.get("/")
        assert answer.status_code == 403
        assert "belongs to another user" in answer.json()["why"]
        await stack.core.call("jobs/terminate", bulk(fixed.job), user="user")


@pytest.mark.parametrize(
    ("make_file", "status", "words"),
    [
        ("echo 22 >allocated-port.txt", 503, "othing listens on port 22"),
        ("ln -s /etc/hostname allocated-port.txt", 403, "cannot be read"),
        ("mkfifo allocated-port.txt", 403, "no regular file"),
        ("mkdir allocated-port.txt", 403, "no regular file"),
        ("head -c 100000 /dev/zero >allocated-port.txt", 403, "too long"),
        ("echo 70000 >allocated-port.txt", 403, "70000 is no port"),
        ("echo 0 >allocated-port.txt", 403, "0 is no port"),
        ("echo 10.0.0.1:80 >allocated-port.txt", 403, "holds no port"),
        ("printf '80\\n81\\n' >allocated-port.txt", 403, "holds no port"),
        ("true", 503, "has not chosen its port yet"),
    ],
)
async def test_a_job_cannot_lead_the_gateway_elsewhere_by_its_port_file(
    stack: Stack, make_file: str, status: int, words: str
) -> None:
    job, cookie = await job_with_port_file(stack, make_file)
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get("/")
    assert (answer.status_code, words in answer.json()["why"]) == (status, True), answer.text
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


async def test_addresses_that_a_job_writes_for_its_nodes_are_not_believed(stack: Stack) -> None:
    with listener_of("bob"):
        script = (
            "echo 192.0.2.1 >$UCLOUD_CONTROL/rank-0/node-0.txt; echo 192.0.2.1 >$UCLOUD_CONTROL/nodes;"
            f' exec /usr/bin/python3 {stack.folder}/software/web_application.py "$UCLOUD_PORT"'
        )
        job = await start_web_job(stack, script=script)
        cookie = await job.cookie()
        await listening(job, cookie)
        await stack.core.call("jobs/terminate", bulk(job.job), user="user")


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
        assert await ended == b""
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
            assert await others[-1].rest() == b""
        async with job.browser(cookie=cookie) as browser, asyncio.timeout(20):
            while True:
                try:
                    assert (await browser.get("/")).status_code == 200
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)


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
