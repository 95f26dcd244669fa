"""A provider that runs nothing, to test the stand-in for Core."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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
    app = Starlette(routes=[Route("/{path:path}", provider.answer, methods=["GET", "POST", "DELETE"])])
    config = uvicorn.Config(app, port=0, log_level="warning")
    server = uvicorn.Server(config)
    with closing(config.bind_socket()) as socket:
        task = asyncio.create_task(server.serve([socket]))
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        server.should_exit = True
        await task
