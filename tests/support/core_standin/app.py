"""The stand-in as one ASGI application: users, provider and tests each have their paths."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from .bodies import json_of
from .door import Door
from .door_routes import door_routes
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
    routes += [*door_routes(door), *page_routes()]
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
        return JSONResponse(await api.create(_claims(world, request), await json_of(request)))

    async def delete(request: Request) -> Response:
        return JSONResponse(await api.delete(_claims(world, request), await json_of(request)))

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
        return JSONResponse(await api.create(claims(request), await json_of(request)))

    async def retrieve(request: Request) -> Response:
        return JSONResponse(api.retrieve(claims(request), request.query_params))

    async def browse(request: Request) -> Response:
        return JSONResponse(api.browse(claims(request), request.query_params))

    async def wallets(request: Request) -> Response:
        return JSONResponse(api.wallets(claims(request)))

    async def licences(request: Request) -> Response:
        return JSONResponse(api.activate_licences(claims(request), await json_of(request)))

    async def utilization(request: Request) -> Response:
        return JSONResponse(await api.utilization(claims(request), request.query_params))

    async def update_acl(request: Request) -> Response:
        return JSONResponse(await sharing.update_acl(claims(request), await json_of(request)))

    async def per_job(request: Request) -> Response:
        operation = request.url.path.rpartition("/")[2]
        return JSONResponse(await api.per_job(claims(request), operation, await json_of(request)))

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
