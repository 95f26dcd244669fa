"""Desktops over WebSockets: what noVNC in a browser speaks, to the VNC server or the websockify of a job.

The browser comes straight to us, without Core's token: whoever has the session's token is let in.
"""

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from slurm_provider.facade.gateway.bodies import pass_both_ways
from slurm_provider.facade.newcomers import TooManyNewcomers
from slurm_provider.facade.services import Services
from slurm_provider.facade.sessions.living import TooManyConnections
from slurm_provider.facade.sessions.replicas import desktop_port, replica_of_job
from slurm_provider.jobmap import JobMap, Session, SessionKind
from slurm_provider.rpc.errors import ClusterUnavailable
from slurm_provider.rpc.tunnels import TunnelRefused
from slurm_provider.rpc.wire import Broken, Wire

log = structlog.get_logger()

router = APIRouter()

GREETING_SECONDS = 1.0
"""How soon a VNC server greets (RFC 6143, section 7.1.1); a websockify waits to be asked."""
OPEN_SECONDS = 10.0
LARGEST_MESSAGE_BYTES = 4 << 20
_GREETING = b"RFB "
_BINARY = Subprotocol("binary")
_REFUSED = 1008
_TRY_AGAIN = 1013
_REASON_BYTES = 120


@router.websocket("/vnc")
async def desktop(websocket: WebSocket) -> None:
    """Show one desktop."""
    services: Services = websocket.app.state.services
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(_BINARY if _BINARY in offered else None)
    token = websocket.query_params.get("token", "")
    try:
        with services.newcomers.one():
            session, why = await services.jobmap.call(_found, token)
    except TooManyNewcomers as error:
        await _close(websocket, _TRY_AGAIN, str(error))
        return
    if session is None:
        await _close(websocket, _REFUSED, why or "the desktop's session is not known")
        return
    client = websocket.client.host if websocket.client else ""
    until = math.ceil(services.clock() + services.config.sessions.web_lifetime_seconds)
    await services.jobmap.call(_begun, session.number, client, until)
    try:
        lived = await services.living.run(session.number, _show(websocket, session, services))
        await _close(websocket, 1000 if lived else _REFUSED, "" if lived else "the session has ended")
    except TooManyConnections:
        await _close(websocket, _REFUSED, "the desktop has too many connections already")
    except TunnelRefused as error:
        await _close(websocket, _TRY_AGAIN, str(error))
    except (ClusterUnavailable, Broken, WebSocketException, OSError) as error:
        log.info("desktop lost", job_id=session.job_id, reason=str(error))
        await _close(websocket, _TRY_AGAIN, "the connection with the desktop is lost; try again")


async def _show(websocket: WebSocket, session: Session, services: Services) -> None:
    """Pass on what browser and desktop say until either ends."""
    row = await services.jobmap.call(JobMap.job, session.job_id or "")
    if row is None:
        raise TunnelRefused("the job is not known")
    port = session.port or desktop_port(row, services.config)
    tunnels = services.clusters[session.cluster].tunnels
    desktop = Wire(await tunnels.open(replica_of_job(row, session.rank), port))
    log.info("desktop opened", job_id=session.job_id, rank=session.rank, session=session.number)
    try:
        if await _greets(desktop):
            await _pass(websocket, desktop.read, desktop.send)
        else:
            await _through_websockify(websocket, desktop)
    finally:
        desktop.close()


async def _greets(desktop: Wire) -> bool:
    """Say whether a VNC server greets; what has come stays in the wire's buffer."""
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            while len(desktop.buffer) < len(_GREETING):
                if not await desktop.fill():
                    raise Broken("the desktop has ended the connection")
    except TimeoutError:
        return False
    return desktop.buffer.startswith(_GREETING)


async def _through_websockify(websocket: WebSocket, desktop: Wire) -> None:
    """Speak WebSocket to what waits for it."""
    ours, theirs = socket.socketpair()
    beside = Wire(theirs)
    passing = asyncio.create_task(pass_both_ways(beside, desktop))
    # A wire that breaks says nothing to the other one by itself.
    passing.add_done_callback(lambda _: beside.close())
    try:
        async with await _websockify(ours) as inner:

            async def read() -> bytes:
                try:
                    message = await inner.recv()
                except ConnectionClosed:
                    return b""
                return message.encode() if isinstance(message, str) else message

            await _pass(websocket, read, inner.send)
    finally:
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        beside.close()


async def _websockify(connected: socket.socket) -> ClientConnection:
    """Return the WebSocket of a websockify; raise what comes of connecting."""
    try:
        return await connect(
            "ws://localhost/websockify",
            sock=connected,
            subprotocols=[_BINARY],
            compression=None,
            open_timeout=OPEN_SECONDS,
            max_size=LARGEST_MESSAGE_BYTES,
            proxy=None,
        )
    except ValueError as error:  # it would lead elsewhere, or answers in a way that makes no sense
        raise Broken(f"the websockify does not open its WebSocket: {error}") from error


async def _pass(
    websocket: WebSocket, read: Callable[[], Awaitable[bytes]], send: Callable[[bytes], Awaitable[None]]
) -> None:
    """Pass on what both say, until the first of them ends."""
    ways = {
        asyncio.create_task(_from_browser(websocket, send)),
        asyncio.create_task(_to_browser(websocket, read)),
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            way.result()
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _from_browser(websocket: WebSocket, send: Callable[[bytes], Awaitable[None]]) -> None:
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        if data := message.get("bytes"):
            await send(data)


async def _to_browser(websocket: WebSocket, read: Callable[[], Awaitable[bytes]]) -> None:
    with suppress(WebSocketDisconnect):
        while data := await read():
            await websocket.send_bytes(data)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    if WebSocketState.DISCONNECTED in (websocket.client_state, websocket.application_state):
        return
    with suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))


def _found(jobmap: JobMap, token: str) -> tuple[Session | None, str | None]:
    session = jobmap.sessions.valid(token, [SessionKind.VNC])
    return session, None if session else jobmap.sessions.ended(token)


def _begun(jobmap: JobMap, number: int, client: str, until: int) -> int:
    return jobmap.sessions.begun(number, client, until)
