"""Terminals over WebSockets: in a rank of a running job, or in a folder on the login node.

The browser comes straight to us, without Core's token: whoever has the identifier of a session is let in.
"""

import asyncio
import codecs
import math
import time
from collections.abc import Coroutine
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from slurm_provider.facade.newcomers import TooManyNewcomers
from slurm_provider.facade.services import Services
from slurm_provider.facade.sessions.living import TooManyConnections
from slurm_provider.facade.shell_socket import INITIALIZE_SECONDS, TRY_AGAIN, ShellSocket
from slurm_provider.facade.shell_starts import CannotStart, start_of
from slurm_provider.jobmap import Session
from slurm_provider.jobmap.sessions import TERMINALS, hash_of
from slurm_provider.rpc.errors import ClusterUnavailable
from slurm_provider.rpc.shells import AttachedShell
from slurm_provider.rpc.v1.shell_pb2 import ShellStart, WindowSize
from slurm_provider.ucloud.shells import Initialize, Input, Resize, ShellRequest

log = structlog.get_logger()

router = APIRouter()


@router.websocket("/websocket")
async def shell(websocket: WebSocket) -> None:
    """Serve one terminal."""
    services: Services = websocket.app.state.services
    await websocket.accept()
    socket = ShellSocket(websocket, services.config.core.era)
    try:
        with services.newcomers.one():
            async with asyncio.timeout(INITIALIZE_SECONDS):
                opening, secret = await _opening(socket, websocket.query_params.get("session"))
    except WebSocketDisconnect:
        return
    except TooManyNewcomers as error:
        await socket.refuse(str(error))
        return
    except TimeoutError:
        await socket.refuse(f"no terminal was asked for within {INITIALIZE_SECONDS:g} seconds")
        return
    session = await services.jobmap.call(lambda jobmap: jobmap.sessions.valid(secret, TERMINALS))
    if session is None:
        why = await services.jobmap.call(lambda jobmap: jobmap.sessions.ended(secret))
        await socket.refuse(why or "the terminal's session is not known, or is not one of a terminal")
        return
    client = websocket.client.host if websocket.client else ""
    terminal = _Terminal(socket, session, secret, services)
    await terminal.serve(opening, client)


async def _opening(socket: ShellSocket, from_link: str | None) -> tuple[Initialize, str]:
    """Return the first message, which says which session is meant; others mean nothing before it."""
    while True:
        request = await socket.next()
        if isinstance(request.payload, Initialize):
            socket.stream = request.streamId
            return request.payload, request.payload.sessionIdentifier or from_link or ""


class _Closed(Exception):
    """The session is over; the text says why."""


class _Terminal:
    """One connection with a terminal."""

    def __init__(self, socket: ShellSocket, session: Session, secret: str, services: Services) -> None:
        self._socket = socket
        self._session = session
        self._secret = secret
        self._key = hash_of(secret)
        self._services = services
        self._last_used = time.monotonic()
        self._log = log.bind(session=session.number, job_id=session.job_id, local_user=session.local_user)

    async def serve(self, opening: Initialize, client: str) -> None:
        """Serve until the browser goes, the shell ends, or the session does."""
        limits = self._services.config.sessions
        until = math.ceil(self._services.clock() + limits.shell_lifetime_seconds)
        number = self._session.number
        expires_at = await self._services.jobmap.call(
            lambda jobmap: jobmap.sessions.begun(number, client, until)
        )
        try:
            start = await start_of(self._session, self._key, self._services)
        except CannotStart as error:
            await self._socket.refuse(str(error))
            return
        start.size.CopyFrom(_size(opening))
        self._log.info("terminal opened", client=client, rank=self._session.rank)
        self._services.kept.taken_up(number)
        try:
            if await self._services.living.run(number, self._work(start, expires_at)):
                return
            await self._ended_from_outside()
        except _Closed as error:
            await self._close(str(error))
        except TooManyConnections:
            await self._socket.refuse("the terminal has too many connections already")
        except WebSocketDisconnect:
            self._log.info("terminal left")
            self._services.kept.keep(self._session, self._key)
        except ClusterUnavailable as error:
            self._log.warning("terminal lost", reason=str(error))
            self._services.kept.keep(self._session, self._key)
            await self._socket.lose(TRY_AGAIN)

    async def _work(self, start: ShellStart, expires_at: int) -> None:
        cluster = self._services.clusters[self._session.cluster]
        async with cluster.shells.attach(start) as shell:
            await self._socket.initialized()
            await _first_of(
                self._show(shell),
                self._type(shell),
                self._socket.keep_alive(),
                self._watch_the_time(expires_at),
            )

    async def _show(self, shell: AttachedShell) -> None:
        """Show what is printed; returns when the terminal is shown elsewhere, raises _Closed at its end."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        async for output in shell.outputs():
            self._last_used = time.monotonic()
            if output.HasField("ended"):
                if not output.ended.elsewhere:
                    raise _Closed(output.ended.reason)
                await self._socket.finish(output.ended.reason)
                return
            if text := decoder.decode(output.data):
                await self._socket.show(text)
        raise ClusterUnavailable("the terminal's stream has ended")

    async def _type(self, shell: AttachedShell) -> None:
        while True:
            request = await self._socket.next()
            self._last_used = time.monotonic()
            await self._hand_over(request, shell)
            await self._socket.acknowledge(request)

    async def _hand_over(self, request: ShellRequest, shell: AttachedShell) -> None:
        match request.payload:
            case Input(data=data):
                await shell.type(data.encode(errors="replace"))
            case Initialize() | Resize() as size:
                await shell.resize(_size(size))

    async def _watch_the_time(self, expires_at: int) -> None:
        """Raise _Closed when nothing was typed or printed for too long, or the terminal is too old."""
        idle = self._services.config.sessions.shell_idle_seconds
        while True:
            unused = time.monotonic() - self._last_used
            left = expires_at - self._services.clock()
            if left <= 1:
                raise _Closed("The terminal is closed: it has been open for as long as the site allows.")
            if unused >= idle:
                raise _Closed("The terminal is closed: nothing was typed or printed for too long.")
            await asyncio.sleep(min(idle - unused, left - 1, 60))

    async def _ended_from_outside(self) -> None:
        """Say why the session lets nobody in any more, and end its terminal."""
        secret = self._secret
        if await self._services.jobmap.call(lambda jobmap: jobmap.sessions.valid(secret, TERMINALS)):
            await self._socket.lose(TRY_AGAIN)  # it is us who are being stopped
            return
        why = await self._services.jobmap.call(lambda jobmap: jobmap.sessions.ended(secret))
        await self._close(f"The terminal is closed: {why or 'its session has ended'}.")

    async def _close(self, why: str) -> None:
        self._log.info("terminal closed", reason=why)
        await self._services.kept.end(self._session, self._key, why)
        await self._socket.finish(why)


def _size(size: Initialize | Resize) -> WindowSize:
    return WindowSize(columns=size.cols, rows=size.rows)


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Do all until one has ended, and raise what it raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
