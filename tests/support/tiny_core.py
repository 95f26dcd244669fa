"""A Core of a few lines, for answers that the stand-in never gives."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt

TRICKLE_SECONDS = 0.05
REFRESH = "/auth/providers/refresh"


@dataclass(frozen=True)
class Reply:
    """An answer: a body that is no text is sent as JSON, a slow one byte by byte."""

    status: int
    body: Any = ""
    slowly: bool = False

    def content(self) -> bytes:
        """The body in bytes."""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def token(**claims: Any) -> Reply:
    """An access token with these claims."""
    made = jwt.encode(claims, "k" * 32)
    return Reply(200, {"responses": [{"accessToken": made, "csrfToken": ""}]})


def good_token() -> Reply:
    """An access token for ten minutes."""
    return token(exp=int(time.time()) + 600)


@dataclass
class TinyCore:
    """Answers `reply(path, body)`, and a token unless `reply_refresh` says otherwise."""

    reply: Callable[[str, Any], Reply] = lambda _path, _body: Reply(200, {})
    reply_refresh: Callable[[], Reply] = good_token
    calls: list[tuple[str, Any]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    """The method and the whole target of each call."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one call."""
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, *_ = head.split()
        path = target.partition("?")[0]
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"null")
        self.calls.append((path, body))
        self.targets.append(f"{method} {target}")
        answer = self.reply_refresh() if path == REFRESH else self.reply(path, body)
        content = answer.content()
        lines = [f"HTTP/1.1 {answer.status} So", f"Content-Length: {len(content)}", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for at in range(len(content)) if answer.slowly else ():
            writer.write(content[at : at + 1])
            await writer.drain()
            await asyncio.sleep(TRICKLE_SECONDS)
        writer.write(b"" if answer.slowly else content)
        await writer.drain()


@asynccontextmanager
async def tiny_core() -> AsyncIterator[TinyCore]:
    """Serve on a free port."""
    core = TinyCore()
    server = await asyncio.start_server(core.serve, "127.0.0.1", 0)
    core.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield core
    finally:
        server.close()
