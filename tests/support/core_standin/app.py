"""The stand-in as one ASGI application: users, provider and tests each have their paths."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from .door import Door
from .enduser import EndUserApi
from .linkapi import LinkApi
from .log_sockets import LogSockets
from .pages import page_routes
from .provider import ProviderClient
from .receive import receive
from .restarts import Restarts
from .sharing import Sharing
from .user_socket import UserSocket
from .wire import CoreError, JsonObject
from .world import World

Endpoint = Callable[[Request], Awaitable[Response]]
_EVERY_METHOD = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def create_app(world: World) -> ASGIApp:
    """The application that plays this world."""
    provider = ProviderClient(world)
    log_sockets = LogSockets(world)
    end_user = EndUserApi(world, provider)
    sharing = Sharing(world, provider, end_user)
    restarts = Restarts(world, end_user)
    world.job_ended = restarts.job_ended
    door = Door(world, provider, end_user, sharing, restarts)

    async def from_provider(request: Request) -> Response:
        if _is_ours(world, request):
            raise CoreError(404, f"Not found: {request.method} {request.url.path}")
        return await receive(world, request)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, CoreError)
        return JSONResponse(error.body(world.era), error.status)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await log_sockets.close()
        await provider.close()

    links = LinkApi(world, provider)
    routes: list[BaseRoute] = [*_user_routes(world, end_user, sharing), *_link_routes(world, links)]
    routes += [*_door_routes(door), *page_routes()]
    routes.append(WebSocketRoute("/api/jobs", UserSocket(world, log_sockets).serve))
    routes.append(Route("/{path:path}", from_provider, methods=_EVERY_METHOD))
    app = Starlette(routes=routes, exception_handlers={CoreError: refuse}, lifespan=lifespan)
    return collapse_slashes(app)


def _is_ours(world: World, request: Request) -> bool:
    """A mistaken call of a test or of a user, which says nothing about the provider."""
    if request.url.path.startswith("/standin/"):
        return True
    try:
        world.keys.user_of(request.headers.get("authorization"))
    except CoreError:
        return False
    return True


def collapse_slashes(app: ASGIApp) -> ASGIApp:
    """Read `//` in a path as `/`, as Core does."""

    async def collapsed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = re.sub("/{2,}", "/", scope["path"])
        await app(scope, receive, send)

    return collapsed


def _claims(world: World, request: Request) -> JsonObject:
    found = world.keys.user_of(request.headers.get("authorization"))
    return found | {"project": request.headers.get("project") or found.get("project")}


def _link_routes(world: World, api: LinkApi) -> list[Route]:
    async def products(request: Request) -> Response:
        _claims(world, request)
        return JSONResponse(await api.products())

    async def create(request: Request) -> Response:
        return JSONResponse(await api.create(_claims(world, request), await _json(request)))

    async def delete(request: Request) -> Response:
        return JSONResponse(await api.delete(_claims(world, request), await _json(request)))

    async def retrieve(request: Request) -> Response:
        return JSONResponse(api.retrieve(_claims(world, request), request.query_params))

    async def browse(request: Request) -> Response:
        return JSONResponse(api.browse(_claims(world, request), request.query_params))

    return [
        Route("/api/ingresses", create, methods=["POST"]),
        Route("/api/ingresses", delete, methods=["DELETE"]),
        Route("/api/ingresses/retrieve", retrieve),
        Route("/api/ingresses/browse", browse),
        Route("/api/ingresses/retrieveProducts", products),
    ]


def _user_routes(world: World, api: EndUserApi, sharing: Sharing) -> list[Route]:
    def claims(request: Request) -> JsonObject:
        return _claims(world, request)

    async def applications(request: Request) -> Response:
        claims(request)
        return JSONResponse(api.applications(request.query_params))

    async def application(request: Request) -> Response:
        claims(request)
        return JSONResponse(api.application(request.query_params))

    async def products(request: Request) -> Response:
        claims(request)
        return JSONResponse(api.products(request.query_params))

    async def products_v2(request: Request) -> Response:
        return JSONResponse(api.products_v2(request.query_params))  # public

    async def support(request: Request) -> Response:
        claims(request)
        return JSONResponse(await api.support())

    async def create(request: Request) -> Response:
        return JSONResponse(await api.create(claims(request), await _json(request)))

    async def retrieve(request: Request) -> Response:
        return JSONResponse(api.retrieve(claims(request), request.query_params))

    async def browse(request: Request) -> Response:
        return JSONResponse(api.browse(claims(request), request.query_params))

    async def wallets(request: Request) -> Response:
        return JSONResponse(api.wallets(claims(request)))

    async def licences(request: Request) -> Response:
        return JSONResponse(api.activate_licences(claims(request), await _json(request)))

    async def utilization(request: Request) -> Response:
        return JSONResponse(await api.utilization(claims(request), request.query_params))

    async def update_acl(request: Request) -> Response:
        return JSONResponse(await sharing.update_acl(claims(request), await _json(request)))

    async def per_job(request: Request) -> Response:
        operation = request.url.path.rpartition("/")[2]
        return JSONResponse(await api.per_job(claims(request), operation, await _json(request)))

    operations = ("terminate", "suspend", "unsuspend", "extend", "interactiveSession")
    return [
        Route("/api/hpc/apps", applications),
        Route("/api/hpc/apps/byNameAndVersion", application),
        Route("/api/products/browse", products),
        Route("/api/products/v2/browse", products_v2),
        Route("/api/jobs", create, methods=["POST"]),
        Route("/api/jobs/retrieve", retrieve),
        Route("/api/jobs/browse", browse),
        Route("/api/jobs/retrieveProducts", support),
        Route("/api/jobs/retrieveUtilization", utilization),
        Route("/api/jobs/updateAcl", update_acl, methods=["POST"]),
        Route("/api/licenses", licences, methods=["POST"]),
        Route("/api/accounting/wallets/browse", wallets),
        *(Route(f"/api/jobs/{operation}", per_job, methods=["POST"]) for operation in operations),
    ]


def _door_routes(door: Door) -> list[Route]:
    """Methods of the door by what they take: nothing, the query, or the decoded body."""

    async def create(request: Request) -> Response:
        return JSONResponse(await door.create(await request.body()))

    async def call(request: Request) -> Response:
        return JSONResponse(await door.call(await _json(request)))

    async def poll(_: Request) -> Response:
        return JSONResponse(await door.poll())

    async def revoke(request: Request) -> Response:
        return JSONResponse(await door.revoke(await _json(request)))

    async def restart(request: Request) -> Response:
        return JSONResponse(await door.restart(await _json(request)))

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
            return _reply(answer(await _json(request)))

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


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise CoreError(400, f"Bad request: the body is no JSON ({error})") from error
