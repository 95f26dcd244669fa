"""A bad road between Core and the provider: calls arrive, but the answers get lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.stack import free_port


class BadRoad:
    """Forwards calls to `target`; the next ones are answered with `statuses` although they were made."""

    def __init__(self, target: str, statuses: list[int]) -> None:
        self.port = free_port()
        self.statuses = statuses
        self.forwarded: list[str] = []
        self._http = httpx.AsyncClient(base_url=target, timeout=60, trust_env=False)

    @property
    def url(self) -> str:
        """Where Core finds the provider."""
        return f"http://127.0.0.1:{self.port}"

    async def forward(self, request: Request) -> Response:
        """Carry a call to the provider, and perhaps lose its answer."""
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        answer = await self._http.request(
            request.method, request.url.path, content=await request.body(), headers=headers
        )
        self.forwarded.append(request.url.path)
        if "integration" not in request.url.path and self.statuses:
            return JSONResponse({"why": "the answer got lost"}, self.statuses.pop(0))
        return Response(answer.content, answer.status_code, media_type="application/json")


@asynccontextmanager
async def bad_road(target: str, statuses: list[int]) -> AsyncIterator[BadRoad]:
    """Run a bad road to the provider at `target`."""
    road = BadRoad(target, statuses)
    app = Starlette(routes=[Route("/{path:path}", road.forward, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=road.port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield road
    finally:
        server.should_exit = True
        await serving
