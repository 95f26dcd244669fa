"""A terminal's WebSocket, in the frames of both eras."""

import asyncio
import json
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from slurm_provider.config import Era
from slurm_provider.ucloud.shells import ShellRequest

INITIALIZE_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 30.0
FAREWELL_SECONDS = 5.0

NORMAL = 1000
REFUSED = 1008
TRY_AGAIN = 1013


class ShellSocket:
    """Frames in, frames out. A browser that has gone raises WebSocketDisconnect."""

    def __init__(self, websocket: WebSocket, era: Era) -> None:
        self._websocket = websocket
        self._era = era
        self.stream = ""
        """The stream on which the browser wants to see what is printed."""

    async def next(self) -> ShellRequest:
        """Return the next frame that is understood: others are skipped."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            try:
                return ShellRequest.model_validate_json(message.get("text") or message.get("bytes") or "")
            except (ValidationError, ValueError):
                continue

    async def acknowledge(self, request: ShellRequest) -> None:
        """Say that a frame was taken: in the seeds' era that ends its stream, in today's it does not."""
        if self._era is Era.SEEDS:
            await self._send("response", request.streamId, {"type": "ack"}, 200)
        else:
            await self._send("message", request.streamId, {"type": "ack"})

    async def initialized(self) -> None:
        """Say that the terminal is there."""
        await self._send("message", self.stream, {"type": "initialize"})

    async def show(self, text: str) -> None:
        """Show what was printed; returns when there is room for more."""
        await self._send("message", self.stream, {"type": "data", "data": text})

    async def keep_alive(self) -> None:
        """Let whatever lies between know that the connection is in use; runs until it is cancelled."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await self._websocket.send_text(json.dumps({"ping": "pong"}))

    async def finish(self, reason: str) -> None:
        """Show why there is no more, and close."""
        shown = self.show(f"\r\n\x1b[0m{reason}\r\n")
        await self._end([shown, self._respond(200, {"type": "ack"})], NORMAL)

    async def refuse(self, why: str) -> None:
        """Refuse to open a terminal, and close."""
        await self._end([self._respond(401, {"why": why, "errorCode": None})], REFUSED)

    async def lose(self, code: int) -> None:
        """Close, so that the browser may try again."""
        await self._end([], code)

    async def _respond(self, status: int, payload: dict[str, Any]) -> None:
        await self._send("response", self.stream, payload, status)

    async def _end(self, words: list[Any], code: int) -> None:
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                for word in words:
                    await word
                if self._websocket.application_state is WebSocketState.CONNECTED:
                    await self._websocket.close(code)
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            pass  # gone, or reads nothing more
        finally:
            for word in words:
                word.close()

    async def _send(self, kind: str, stream: str, payload: dict[str, Any], status: int | None = None) -> None:
        reply: dict[str, Any] = {"type": kind, "streamId": stream, "payload": payload}
        if status is not None:
            reply["status"] = status
        await self._websocket.send_text(json.dumps(reply))
