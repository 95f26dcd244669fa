"""`follow`: what jobs print, to Core over a WebSocket, as long as they run."""

import asyncio
import secrets
from contextlib import suppress

import structlog
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from slurm_provider.facade.auth import bearer
from slurm_provider.facade.errors import Refused, printable, refusal
from slurm_provider.facade.logs.hubs import CannotFollow
from slurm_provider.facade.services import Services
from slurm_provider.rpc.errors import ClusterRefused
from slurm_provider.ucloud.follow import (
    FollowCancel,
    FollowInit,
    FollowRequest,
    Frame,
    message,
    output,
    response,
)

log = structlog.get_logger()
router = APIRouter()

FIRST_FRAME_SECONDS = 20.0
"""Within which somebody who has shown no token when connecting must have shown one."""
KEEP_ALIVE_SECONDS = 30.0
KEEP_ALIVE = '{"ping":"pong"}'
FOLLOWS_PER_SOCKET = 200
POLICY_VIOLATION = 1008


@router.websocket("/websocket")
async def follow(socket: WebSocket) -> None:
    """Serve Core's connection: either era's framing, and either era's way to show the token."""
    services: Services = socket.app.state.services
    try:
        has_token = _has_token(socket, services)
    except Refused as error:
        await socket.send_denial_response(refusal(error))
        return
    await socket.accept()
    with suppress(WebSocketDisconnect):
        await FollowSocket(socket, services, trusted=has_token).serve()


def _has_token(socket: WebSocket, services: Services) -> bool:
    """Say whether Core's token came with the handshake; raise Refused for a bad one."""
    if "authorization" not in socket.headers:
        return False
    services.core_token.check(bearer(socket.headers))
    return True


class FollowSocket:
    """One connection with any number of follows. With the token of the handshake it is for a single one."""

    def __init__(self, socket: WebSocket, services: Services, *, trusted: bool) -> None:
        self._socket = socket
        self._services = services
        self._trusted = trusted
        self._call = f"jobs.provider.{services.config.provider.id}.follow"
        self._follows: dict[str, asyncio.Task[None]] = {}
        self._is_over = False

    async def serve(self) -> None:
        """Serve until either end closes."""
        keeping_alive = asyncio.create_task(self._keep_alive())
        try:
            await self._serve()
        except Refused as error:
            log.info("call refused", status=error.status, why=error.why)
            await self._socket.close(POLICY_VIOLATION, _short(error.why))
        finally:
            self._is_over = True
            tasks = [keeping_alive, *self._follows.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(None if self._trusted else FIRST_FRAME_SECONDS):
                first = await self._frame()
        except TimeoutError as error:
            raise Refused(401, "nobody has shown Core's token in time") from error
        await self._take(first)
        while True:
            await self._take(await self._frame())

    async def _frame(self) -> Frame:
        """Return the next request that is one and has a good token; others are skipped, or refused."""
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code", 1005))
            try:
                frame = Frame.model_validate_json(received.get("text") or "")
            except ValidationError:
                continue
            if not self._trusted:
                await self._check(frame)
            return frame

    async def _check(self, frame: Frame) -> None:
        try:
            if frame.bearer is None:
                raise Refused(401, "neither the connection nor the message has Core's token")
            self._services.core_token.check(frame.bearer)
        except Refused as error:
            await self._refuse(frame.streamId, error.status, error.why)
            raise

    async def _take(self, frame: Frame) -> None:
        if frame.call != self._call:
            await self._socket.send_text(response(frame.streamId, 404, {}))
            return
        try:
            request = FollowRequest.model_validate(frame.payload).root
        except ValidationError:
            await self._refuse(frame.streamId, 400, "this is neither the start nor the end of a follow")
            return
        match request:
            case FollowInit():
                await self._start(frame.streamId, request.job.id)
            case FollowCancel():
                await self._cancel(frame.streamId, request.streamId)

    async def _start(self, stream_id: str, job_id: str) -> None:
        if len(self._follows) >= FOLLOWS_PER_SOCKET:
            why = f"{FOLLOWS_PER_SOCKET} jobs are followed over this connection already"
            await self._refuse(stream_id, 400, why)
            return
        follow_id = secrets.token_hex(8)
        task = asyncio.create_task(self._follow(stream_id, follow_id, job_id))
        self._follows[follow_id] = task
        task.add_done_callback(lambda _: self._follows.pop(follow_id, None))

    async def _cancel(self, stream_id: str, follow_id: str) -> None:
        if task := self._follows.get(follow_id):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._socket.send_text(response(stream_id, 200, output(follow_id, self._no_rank)))

    @property
    def _no_rank(self) -> int:
        """The rank in payloads without text: the seeds' Core skips -1, today's would show it."""
        return 0 if self._trusted else -1

    async def _follow(self, stream_id: str, follow_id: str, job_id: str) -> None:
        """Send what a job prints, then that it was all."""
        with suppress(WebSocketDisconnect):
            try:
                await self._send_output(stream_id, follow_id, job_id)
            except (CannotFollow, ClusterRefused) as error:
                await self._refuse(stream_id, 400, str(error), follow_id)
            except asyncio.CancelledError:
                if not self._is_over:
                    await self._end(stream_id, follow_id)
                raise
            except WebSocketDisconnect:
                raise
            except Exception:
                log.exception("follow failed", job_id=job_id)
                await self._refuse(stream_id, 500, "the provider failed; its log says why", follow_id)
            else:
                await self._end(stream_id, follow_id)
            if self._trusted and len(self._follows) == 1:
                await self._socket.close()

    async def _send_output(self, stream_id: str, follow_id: str, job_id: str) -> None:
        async with self._services.hubs.follow(job_id) as follower:
            if not self._trusted:
                await self._socket.send_text(message(stream_id, output(follow_id, -1)))
            async for rank, is_stderr, text in follower.texts():
                printed = {"stderr" if is_stderr else "stdout": text}
                await self._socket.send_text(message(stream_id, output(follow_id, rank, **printed)))
            if follower.refusal:
                raise ClusterRefused(follower.refusal)

    async def _end(self, stream_id: str, follow_id: str) -> None:
        await self._socket.send_text(response(stream_id, 200, output(follow_id, self._no_rank)))

    async def _refuse(self, stream_id: str, status: int, why: str, follow_id: str = "") -> None:
        """Answer in words: the seeds' Core shows its users `why`, today's what seems to be printed."""
        why = printable(why)
        payload = output(follow_id, 0, stderr=f"{why}\n") | {"why": why, "errorCode": None}
        await self._socket.send_text(response(stream_id, status, payload))

    async def _keep_alive(self) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                await asyncio.sleep(KEEP_ALIVE_SECONDS)
                await self._socket.send_text(KEEP_ALIVE)


def _short(why: str) -> str:
    """Return a reason that fits into a WebSocket's close frame."""
    return printable(why).encode()[:120].decode(errors="ignore")
