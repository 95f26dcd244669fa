"""The socket of a user of the portal: calls that are answered by more than one message."""

import asyncio
import json
from contextlib import aclosing

from starlette.websockets import WebSocket, WebSocketDisconnect

from .follow import Follow
from .log_sockets import LogSockets
from .permissions import may
from .wire import CoreError, JsonObject, text
from .world import World


class UserSocket:
    """`/api/jobs` as a WebSocket: each message is a call with the user's token, answered on its stream."""

    def __init__(self, world: World, sockets: LogSockets) -> None:
        self._world = world
        self._sockets = sockets

    async def serve(self, socket: WebSocket) -> None:
        """Serve one socket until the browser closes it."""
        await socket.accept()
        sending = asyncio.Lock()
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                request = json.loads(await socket.receive_text())
                answer = _Answer(socket, sending, request.get("streamId"))
                task = asyncio.create_task(self._answer(request, answer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (WebSocketDisconnect, ValueError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, request: JsonObject, answer: "_Answer") -> None:
        try:
            async with aclosing(self._follow(request).messages()) as messages:
                async for message in messages:
                    await answer.message(message)
            await answer.response(200, {})
        except CoreError as error:
            await answer.response(error.status, error.body(self._world.era))

    def _follow(self, request: JsonObject) -> Follow:
        if request.get("call") != "jobs.follow":
            raise CoreError(404, f"Not found: {request.get('call')}")
        claims = self._world.keys.user_of(f"Bearer {request.get('bearer')}")
        claims |= {"project": request.get("project") or claims.get("project")}
        job_id = text(request.get("payload") or {}, "id")
        row = self._world.jobs.get(job_id)
        if not may(claims, row, "READ"):
            raise CoreError(404, f"Not found or permission denied ({job_id})")
        return Follow(self._world, self._sockets, row, claims["sub"])


class _Answer:
    """One stream of a socket."""

    def __init__(self, socket: WebSocket, sending: asyncio.Lock, stream_id: object) -> None:
        self._socket = socket
        self._sending = sending
        self._stream_id = stream_id

    async def message(self, payload: JsonObject) -> None:
        """Send one of many."""
        await self._send({"type": "message", "streamId": self._stream_id, "payload": payload})

    async def response(self, status: int, payload: JsonObject) -> None:
        """Send the last."""
        body = {"type": "response", "status": status, "streamId": self._stream_id, "payload": payload}
        await self._send(body)

    async def _send(self, body: JsonObject) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps(body))
