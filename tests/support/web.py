"""Web applications of jobs as a browser would open them, through the gateway."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.support.applications import bash, job_of
from tests.support.jobs import bulk
from tests.support.processes import ROOT
from tests.support.stack import Settings, Stack, free_port

SUFFIX = ".apps.example.org"


def web_settings(scheme: str = "http", more: str = "") -> Settings:
    """Return the settings of a stack with a gateway."""
    port = free_port()
    text = f"""
[web]
listen = "127.0.0.1:{port}"
scheme = "{scheme}"
port = {port}
suffix = "{SUFFIX}"
"""
    return Settings(more=text + more)


def gateway_port(stack: Stack) -> int:
    """Return the port on which a stack's gateway listens."""
    text = stack.config_path.read_text().partition("[web]")[2]
    return int(text.partition("127.0.0.1:")[2].partition('"')[0])


@dataclass(frozen=True)
class WebJob:
    """A running job with a web application."""

    stack: Stack
    job: Any

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.job["id"])

    def host(self, rank: int = 0) -> str:
        """Return what a browser sends as Host."""
        return f"app-{self.id}-{rank}{SUFFIX}:{gateway_port(self.stack)}"

    async def link(self, rank: int = 0, user: str = "user", kind: str = "WEB") -> str:
        """Return the link that UCloud gives a user."""
        item = {"job": self.job, "rank": rank, "sessionType": kind}
        reply = await self.stack.core.call("jobs/interactiveSession", bulk(item), user=user)
        assert reply["status"] == 200, reply
        session = reply["body"]["responses"][0]
        return str(session["redirectClientTo"] if kind == "WEB" else session["url"])

    async def cookie(self, rank: int = 0, user: str = "user") -> str:
        """Open a link and return the cookie that it gives, as a browser would send it."""
        async with self.browser(rank) as browser:
            answer = await browser.get(target_of(await self.link(rank, user)))
        assert answer.status_code == 302, answer.text
        return answer.headers["set-cookie"].partition(";")[0]

    def browser(self, rank: int = 0, cookie: str | None = None) -> httpx.AsyncClient:
        """Return a client that talks to the gateway as if to the job's domain."""
        headers = {"host": self.host(rank)} | ({"cookie": cookie} if cookie else {})
        address = f"http://127.0.0.1:{gateway_port(self.stack)}"
        return httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False)

    def printed(self, rank: int = 0) -> str:
        """Return what the application has printed."""
        return self.stack.output("alice", self.id, rank)


def target_of(link: str) -> str:
    """Return the path and the query of a link."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


async def start_web_job(
    stack: Stack, *, script: str | None = None, port: int | None = 0, replicas: int = 1, **more: Any
) -> WebJob:
    """Start a job with a web application; 0 leaves its port to the node."""
    program = stack.folder / "software/web_application.py"
    shutil.copy(ROOT / "tests/support/web_application.py", program)
    command = script or f'exec /usr/bin/python3 {program} "$UCLOUD_PORT"'
    made = job_of(*bash(command), applicationType="WEB", web={"port": port}, replicas=replicas, **more)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    return WebJob(stack, made)


async def listening(job: WebJob, cookie: str, rank: int = 0) -> None:
    """Wait until the application answers."""
    async with job.browser(rank, cookie) as browser:
        await listening_at(browser)


async def listening_at(browser: httpx.AsyncClient) -> None:
    """Wait until a browser that has been let in sees the application."""
    async with asyncio.timeout(30):
        while (await browser.get("/")).status_code == 503:
            await asyncio.sleep(0.1)


class Raw:
    """A connection to a gateway on which a test says what no proper browser would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, stack: Stack) -> AsyncIterator["Raw"]:
        """Connect."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway_port(stack), limit=1 << 24)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def say(self, *lines: str | bytes) -> None:
        """Send lines of a head, and the empty line behind it."""
        text = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
        await self.send(b"\r\n".join([*text, b"", b""]))

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> tuple[int, str, bytes]:
        """Return an answer's status, its head and its body, which has a length or chunks or ends with all."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ")[1])
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            if "content-length" in fields:
                body = await self.reader.readexactly(int(fields["content-length"]))
            elif fields.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            elif status in (100, 101, 204, 304):
                body = b""
            else:
                body = await self.reader.read()
            return status, head, body

    async def rest(self) -> bytes:
        """Return what comes until the connection is ended."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


async def ask(stack: Stack, *lines: str | bytes) -> tuple[int, str]:
    """Return the status and the text of the answer to a head."""
    async with Raw.to(stack) as raw:
        await raw.say(*lines)
        status, _, body = await raw.hear()
    return status, body.decode()


def web_socket(job: WebJob, cookie: str, origin: str | None, path: str = "/websocket") -> connect:
    """Return a WebSocket to a job's application."""
    return connect(
        f"ws://{job.host()}{path}",
        host="127.0.0.1",
        port=gateway_port(job.stack),
        additional_headers={"Cookie": cookie},
        origin=Origin(origin) if origin else None,
        compression=None,
        proxy=None,
    )


def memory_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


@contextmanager
def nothing_reaches(*jobs: WebJob) -> Iterator[None]:
    """Assert that no request comes to these jobs' applications."""
    before = [job.printed() for job in jobs]
    yield
    assert [job.printed() for job in jobs] == before
