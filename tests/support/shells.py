"""A terminal as UCloud's pages use it: frames over a WebSocket, and what the user sees."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.jobs import bulk
from tests.support.stack import Stack

PATIENCE_SECONDS = 60.0
HINT = base64.b64encode(b"user").decode()


class Shell:
    """An open WebSocket; `seen` is all that was printed."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen = ""
        self.frames: list[dict[str, Any]] = []
        self.finished = asyncio.Event()
        self._streams = itertools.count(1)
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def send(self, **payload: Any) -> str:
        """Send a request on a stream of its own, and return the stream's id."""
        stream = str(next(self._streams))
        frame = {
            "call": "jobs.compute.example.shell.open",
            "streamId": stream,
            "payload": payload,
            "bearer": None,
            "causedBy": None,
            "project": None,
        }
        await self.connection.send(json.dumps(frame))
        return stream

    async def initialize(self, session: str, columns: int = 80, rows: int = 24) -> None:
        """Open the terminal and wait until it is there."""
        stream = await self.send(type="initialize", sessionIdentifier=session, cols=columns, rows=rows)
        await self.until(lambda: any(frame.get("streamId") == stream for frame in self.frames))

    async def type(self, text: str) -> str:
        """Type some text, and return the stream on which it is acknowledged."""
        return await self.send(type="input", data=text)

    async def run(self, line: str, expect: str) -> None:
        """Type a line, and wait until a text is printed after it."""
        start = len(self.seen)
        await self.type(f"{line}\r")
        await self.until(lambda: expect in self.seen[start:])

    async def sees(self, text: str) -> None:
        """Wait until a text was printed."""
        await self.until(lambda: text in self.seen)

    async def until(self, condition: Any) -> None:
        """Wait until something is true of what came; fails with what was seen."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"seen: {self.seen[-3000:]!r}, last frames {self.frames[-3:]}") from None

    async def ended(self) -> int | None:
        """Wait until the server closes the connection; return its code."""
        await asyncio.wait_for(self.finished.wait(), PATIENCE_SECONDS)
        return self.connection.close_code

    async def leave(self) -> None:
        """Break the connection off."""
        self.connection.transport.abort()
        await self.finished.wait()

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                frame = json.loads(text)
                async with self._news:
                    self.frames.append(frame)
                    if frame.get("payload", {}).get("type") == "data":
                        self.seen += frame["payload"]["data"]
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        finally:
            self.finished.set()
            async with self._news:
                self._news.notify_all()


@asynccontextmanager
async def connected(stack: Stack, session: str = "") -> AsyncIterator[Shell]:
    """Connect as a browser does."""
    url = f"{stack.url.replace('http', 'ws', 1)}/ucloud/example/websocket"
    async with connect(f"{url}?session={session}&usernameHint={HINT}", max_size=None) as connection:
        yield Shell(connection)


@asynccontextmanager
async def terminal(stack: Stack, session: str, columns: int = 80, rows: int = 24) -> AsyncIterator[Shell]:
    """Connect and open the terminal."""
    async with connected(stack, session) as shell:
        await shell.initialize(session, columns, rows)
        yield shell


async def running(stack: Stack, made: Any) -> Any:
    """Create a job, and return it when it runs."""
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 200, answer
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    return made


async def session_with(stack: Stack, job: Any, rank: int = 0, user: str = "user") -> str:
    """Ask for a terminal in a rank of a job, as Core does; return the identifier."""
    item = {"job": job, "rank": rank, "sessionType": "SHELL"}
    answer = await stack.core.call("jobs/interactiveSession", {"items": [item]}, user=user)
    assert answer["status"] == 200, answer
    return str(answer["body"]["responses"][0]["sessionIdentifier"])
