"""Core's sockets to the provider: the logs of jobs, asked for as each era does."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .log_frames import LogFrame, read_frame
from .wire import CoreError, Era, JsonObject
from .world import World

CONNECT_SECONDS = 5.0
LARGEST_FRAME = 1 << 24


class LogSockets:
    """The way to the logs. Today's Core opens a socket for each follow; that of the seeds has one a user."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shared: dict[str, _SharedSocket] = {}
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the sockets that are shared."""
        for shared in self._shared.values():
            await shared.close()

    async def follow(self, row: JsonObject, user: str) -> AsyncGenerator[LogFrame]:
        """Follow a job for a user: the frames until the response, or until the provider is lost.

        Raises CoreError when there is no way to the provider.
        """
        if self._world.era is Era.TODAY:
            frames = self._follow_alone(row, user)
        else:
            frames = (await self._shared_socket(user)).follow(row)
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def _follow_alone(self, row: JsonObject, user: str) -> AsyncGenerator[LogFrame]:
        hint = base64.urlsafe_b64encode(user.encode()).decode()
        headers = {"Authorization": f"Bearer {self._world.keys.service_token()}"}
        socket = await self._connect(f"?usernameHint={hint}", headers)
        try:
            await socket.send(_request(self._world, "ignored", {"type": "init", "job": row}, bearer=""))
            async for raw in socket:
                if isinstance(raw, bytes):
                    return
                frame = read_frame(self._world, self._path, raw)
                if frame is not None:
                    yield frame
                    if frame.is_last:
                        return
        finally:
            await socket.close()

    async def _shared_socket(self, user: str) -> "_SharedSocket":
        async with self._opening:
            shared = self._shared.get(user)
            if shared is None or shared.is_closed:
                headers = {"UCloud-Username": base64.b64encode(user.encode()).decode()}
                shared = _SharedSocket(self._world, self._path, await self._connect("", headers))
                self._shared[user] = shared
            return shared

    @property
    def _path(self) -> str:
        return f"/ucloud/jobs.provider.{self._world.provider_id}/websocket"

    async def _connect(self, query: str, headers: dict[str, str]) -> ClientConnection:
        url = "ws" + self._world.provider_url.removeprefix("http") + self._path + query
        try:
            return await connect(
                url,
                additional_headers=headers,
                compression=None,
                open_timeout=CONNECT_SECONDS,
                ping_interval=None,
                max_size=LARGEST_FRAME,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise CoreError(502, f"The provider's log cannot be followed ({error})") from error


class _SharedSocket:
    """One socket for all that a user follows, told apart by the ids of streams."""

    def __init__(self, world: World, path: str, socket: ClientConnection) -> None:
        self._world = world
        self._path = path
        self._socket = socket
        self._numbers = itertools.count(1)
        self._streams: dict[str, asyncio.Queue[LogFrame | None]] = {}
        self._reading = asyncio.create_task(self._read())

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be followed on it any more."""
        return self._reading.done()

    async def close(self) -> None:
        """Close it; all that is followed ends."""
        await self._socket.close()
        await self._reading

    async def follow(self, row: JsonObject) -> AsyncGenerator[LogFrame]:
        """Yield what the provider says of a job; cancel it there when nobody wants more."""
        number = str(next(self._numbers))
        frames = self._streams[number] = asyncio.Queue()
        own_id = None
        try:
            await self._send(number, {"type": "init", "job": row})
            while frame := await frames.get():
                own_id = frame.log.get("streamId")
                yield frame
                if frame.is_last:
                    own_id = None
                    return
        finally:
            del self._streams[number]
            if own_id is not None:
                await self._send(str(next(self._numbers)), {"type": "cancel", "streamId": own_id})

    async def _send(self, number: str, payload: JsonObject) -> None:
        with suppress(ConnectionClosed):
            await self._socket.send(
                _request(self._world, number, payload, bearer=self._world.keys.service_token())
            )

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for raw in self._socket:
                frame = read_frame(self._world, self._path, raw)
                if frame is not None and frame.stream_id in self._streams:
                    self._streams[frame.stream_id].put_nowait(frame)
        for frames in self._streams.values():
            frames.put_nowait(None)


def _request(world: World, stream_id: str, payload: JsonObject, bearer: str) -> str:
    return json.dumps(
        {
            "call": f"jobs.provider.{world.provider_id}.follow",
            "streamId": stream_id,
            "payload": payload,
            "bearer": bearer,
            "causedBy": None,
            "project": None,
            "signedIntent": None,
        }
    )
