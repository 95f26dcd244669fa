"""The provider's WebSocket of logs, spoken to as Core does in either era."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

Json = dict[str, Any]
CALL = "jobs.provider.example.follow"
PATH = "/ucloud/jobs.provider.example/websocket"
_numbers = itertools.count(1)


@dataclass
class Followed:
    """What has come of one follow."""

    pieces: dict[tuple[int, str], list[str]] = field(default_factory=dict)
    """The texts of each rank's `stdout` and `stderr`."""
    frames: list[Json] = field(default_factory=list)
    end: Json | None = None
    """The response, once there was one."""

    def take(self, frame: Json) -> None:
        """Take a frame."""
        self.frames.append(frame)
        if frame["type"] == "response":
            self.end = frame
            return
        for channel in ("stdout", "stderr"):
            if text := frame["payload"].get(channel):
                self.pieces.setdefault((frame["payload"]["rank"], channel), []).append(text)

    @property
    def printed(self) -> dict[tuple[int, str], str]:
        """What was printed so far, by rank and `stdout` or `stderr`."""
        return {key: "".join(texts) for key, texts in self.pieces.items()}

    def text(self, rank: int = 0, channel: str = "stdout") -> str:
        """Return what a rank has printed so far."""
        return "".join(self.pieces.get((rank, channel), ()))

    @property
    def announced_id(self) -> str:
        """The provider's own id of the follow."""
        return str(self.frames[0]["payload"]["streamId"])


class FollowClient:
    """One connection."""

    def __init__(self, socket: ClientConnection, bearer: str) -> None:
        self.socket = socket
        self.bearer = bearer
        self.follows: dict[str, Followed] = {}

    async def send(self, payload: object, stream_id: str, *, call: str = CALL) -> Followed:
        """Send a request; return what will come of it."""
        followed = self.follows[stream_id] = Followed()
        frame = {"call": call, "streamId": stream_id, "payload": payload, "bearer": self.bearer}
        await self.socket.send(json.dumps(frame | {"causedBy": None, "project": None, "signedIntent": None}))
        return followed

    async def follow(self, job: Json, stream_id: str | None = None) -> Followed:
        """Begin to follow a job."""
        return await self.send({"type": "init", "job": job}, stream_id or str(next(_numbers)))

    async def cancel(self, followed: Followed) -> Followed:
        """Ask for the end of a follow."""
        payload = {"type": "cancel", "streamId": followed.announced_id}
        return await self.send(payload, str(next(_numbers)))

    async def take(self) -> None:
        """Wait for one frame and hand it to its follow."""
        frame = json.loads(await self.socket.recv())
        if "streamId" in frame:
            self.follows[frame["streamId"]].take(frame)

    async def until_end(self, followed: Followed, seconds: float = 60) -> Followed:
        """Take frames until a follow has its response."""
        async with asyncio.timeout(seconds):
            while followed.end is None:
                await self.take()
        return followed

    async def until_printed(
        self, followed: Followed, text: str, *, rank: int = 0, channel: str = "stdout", seconds: float = 60
    ) -> None:
        """Take frames until a rank has printed a text."""
        async with asyncio.timeout(seconds):
            while text not in followed.text(rank, channel):
                await self.take()


@asynccontextmanager
async def todays_core(url: str, token: str, **options: Any) -> AsyncIterator[FollowClient]:
    """Connect as today's Core does: the token is in the handshake, messages have none."""
    headers = {"Authorization": f"Bearer {token}"}
    hint = base64.urlsafe_b64encode(b"user").decode()
    async with _connected(f"{url}{PATH}?usernameHint={hint}", headers, **options) as socket:
        yield FollowClient(socket, "")


@asynccontextmanager
async def seeds_core(url: str, token: str, **options: Any) -> AsyncIterator[FollowClient]:
    """Connect as the seeds' Core does: the token is in each message."""
    headers = {"UCloud-Username": base64.b64encode(b"user").decode()}
    async with _connected(f"{url}{PATH}", headers, **options) as socket:
        yield FollowClient(socket, token)


@asynccontextmanager
async def _connected(url: str, headers: dict[str, str], **options: Any) -> AsyncIterator[ClientConnection]:
    address = f"ws{url.removeprefix('http')}"
    options = {"max_size": None, "compression": None, "ping_interval": None} | options
    async with connect(address, additional_headers=headers, proxy=None, **options) as socket:
        yield socket
