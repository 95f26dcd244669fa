"""What has to be done to every request before it is routed."""

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slurm_provider.facade.errors import Refused, refusal

log = structlog.get_logger()

LARGEST_BODY_BYTES = 16 << 20
"""Of a request. Core's largest ones have some hundred kilobytes."""

_QUIET = ("/healthz", "/readyz")


class UCloudConventions:
    """Folds repeated slashes, takes every body for JSON, and gives every request an id for the log.

    Today's Core sends no Content-Type at all, the seeds' examples a malformed one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in ("http", "websocket"):
            scope["path"] = re.sub("/+", "/", scope["path"])
            if "raw_path" in scope:
                scope["raw_path"] = re.sub(b"/+", b"/", scope["raw_path"])
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        scope["headers"] = [*headers, (b"content-type", b"application/json")]
        request_id = secrets.token_hex(8)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._logged(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        except Exception:
            status = status or 500  # the answer is given further out
            raise
        finally:
            if scope["path"] not in _QUIET:
                log.info(
                    "call",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    seconds=round(time.monotonic() - started, 3),
                )


class BodyLimit:
    """Refuses bodies above a size with 413: at once by the length they announce, else while they come."""

    def __init__(self, app: ASGIApp, largest_bytes: int = LARGEST_BODY_BYTES) -> None:
        self._app = app
        self._largest_bytes = largest_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._largest_bytes:
            await refusal(self._too_large())(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._largest_bytes:
                raise HTTPException(413, self._too_large().why)
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self._largest_bytes >> 20} MiB")
