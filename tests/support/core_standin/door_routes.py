"""The paths of the stand-in's own door."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .bodies import json_of
from .door import Door
from .wire import JsonObject

Endpoint = Callable[[Request], Awaitable[Response]]


def door_routes(door: Door) -> list[Route]:
    """Methods of the door by what they take: nothing, the query, or the decoded body."""

    async def create(request: Request) -> Response:
        return JSONResponse(await door.create(await request.body()))

    async def call(request: Request) -> Response:
        return JSONResponse(await door.call(await json_of(request)))

    async def poll(_: Request) -> Response:
        return JSONResponse(await door.poll())

    async def revoke(request: Request) -> Response:
        return JSONResponse(await door.revoke(await json_of(request)))

    async def restart(request: Request) -> Response:
        return JSONResponse(await door.restart(await json_of(request)))

    async def wait(request: Request) -> Response:
        return JSONResponse(await door.wait(request.query_params))

    def no_input(answer: Callable[[], JsonObject | str]) -> Endpoint:
        async def endpoint(_: Request) -> Response:
            return _reply(answer())

        return endpoint

    def of_query(answer: Callable[[Any], JsonObject | str]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return _reply(answer(request.query_params))

        return endpoint

    def of_body(answer: Callable[[Any], JsonObject | str]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return _reply(answer(await json_of(request)))

        return endpoint

    table: list[tuple[str, str, Endpoint]] = [
        ("POST", "create", create),
        ("POST", "call", call),
        ("POST", "poll", poll),
        ("GET", "wait", wait),
        ("POST", "revoke", revoke),
        ("POST", "restart", restart),
        ("POST", "jobs", of_body(door.add_jobs)),
        ("GET", "job", of_query(door.job)),
        ("GET", "received", of_query(door.received)),
        ("GET", "sent", of_query(door.sent)),
        ("GET", "violations", no_input(door.violations)),
        ("DELETE", "violations", no_input(door.clear_violations)),
        ("PUT", "wallets", of_body(door.set_wallet)),
        ("GET", "wallets", of_query(door.wallet)),
        ("GET", "charges", no_input(door.charges)),
        ("GET", "usage", no_input(door.usage)),
        ("GET", "connections", no_input(door.connections)),
        ("PUT", "ssh-keys", of_body(door.set_ssh_keys)),
        ("PUT", "behaviour", of_body(door.behave)),
        ("POST", "applications", of_body(door.add_application)),
        ("POST", "products", of_body(door.add_product)),
        ("GET", "token", of_query(door.user_token)),
        ("GET", "token/core", no_input(door.core_token)),
        ("GET", "token/provider", no_input(door.provider_token)),
        ("POST", "token/sign", of_body(door.sign)),
    ]
    return [Route(f"/standin/{path}", endpoint, methods=[method]) for method, path, endpoint in table]


def _reply(answer: JsonObject | str) -> Response:
    return PlainTextResponse(answer) if isinstance(answer, str) else JSONResponse(answer)
