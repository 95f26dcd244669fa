"""A provider that runs nothing, to test the stand-in for Core."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

FULL_SUPPORT = Path(__file__).parents[1] / "data" / "seeds" / "full-support.response.json"

LINKS = {
    "product": {"id": "example-ingress", "category": "example-ingress", "provider": "example"},
    "domainPrefix": "app-",
    "domainSuffix": ".provider.example.com",
}


class FakeProvider:
    """Answers with the next prepared response, else as it should; calls are (operation, headers, body)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.prepared: deque[Response] = deque()
        self.create_delay_seconds = 0.0
        self.support = json.loads(FULL_SUPPORT.read_text())
        self.handshakes: list[tuple[dict[str, str], dict[str, str]]] = []
        self.log_requests: list[dict[str, Any]] = []
        self.log_pieces: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._news = asyncio.Condition()

    async def answer(self, request: Request) -> Response:
        """Keep the call and answer it."""
        body = await request.body()
        operation = request.url.path.partition("/ucloud/example/")[2]
        self.calls.append((operation, dict(request.headers), body))
        async with self._news:
            self._news.notify_all()
        if operation == "jobs/retrieveProducts":
            return JSONResponse(self.support)
        if operation == "ingresses/retrieveProducts":
            return JSONResponse({"responses": [LINKS]})
        if operation == "integration/init":
            return JSONResponse({})
        await asyncio.sleep(self.create_delay_seconds)
        if self.prepared:
            return self.prepared.popleft()
        return JSONResponse({"responses": [None for _ in json.loads(body)["items"]]})

    async def tell_log(self, socket: WebSocket) -> None:
        """Answer the first follow of a socket with the queued pieces, None standing for the end."""
        await socket.accept()
        self.handshakes.append((dict(socket.headers), dict(socket.query_params)))
        request = await socket.receive_json()
        self.log_requests.append(request)
        frame = {"type": "message", "streamId": request["streamId"]}
        while piece := await self.log_pieces.get():
            await socket.send_json(frame | {"payload": piece})
        last = {"streamId": "f1", "rank": 0, "stdout": None, "stderr": None}
        await socket.send_json(frame | {"type": "response", "status": 200, "payload": last})

    async def wait_for(self, operation: str, *, calls: int) -> None:
        """Wait until an operation was called so often."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.operations().count(operation) >= calls)

    def operations(self) -> list[str]:
        """The calls so far, below the provider's prefix."""
        return [operation for operation, _, _ in self.calls]


@asynccontextmanager
async def serving(provider: FakeProvider) -> AsyncIterator[str]:
    """Serve it on a free port; gives the URL."""
    routes = [
        Route("/{path:path}", provider.answer, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/ucloud/jobs.provider.example/websocket", provider.tell_log),
    ]
    app = Starlette(routes=routes)
    config = uvicorn.Config(app, port=0, log_level="warning")
    server = uvicorn.Server(config)
    with closing(config.bind_socket()) as socket:
        task = asyncio.create_task(server.serve([socket]))
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        server.should_exit = server.force_exit = True
        await task
