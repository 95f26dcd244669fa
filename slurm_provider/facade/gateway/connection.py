"""A browser's connection: its requests, one after the other."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.authorize import Authorizer
from slurm_provider.facade.gateway.clients import Clients, is_proxy
from slurm_provider.facade.gateway.exchange import Exchange, Gone
from slurm_provider.facade.gateway.farewell import part
from slurm_provider.facade.gateway.forwarding import client_of
from slurm_provider.facade.gateway.heads import BadHead, RequestHead, read_request
from slurm_provider.facade.gateway.open_links import OpenLinks
from slurm_provider.facade.gateway.places import Key, Place
from slurm_provider.facade.sessions.living import LivingSessions, TooManyConnections
from slurm_provider.facade.sessions.replicas import PORT_FILE, replica_of_job
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.tunnels import NotReady, NotRunning, TunnelRefused
from slurm_provider.rpc.wire import Broken, Wire

log = structlog.get_logger()

HEAD_SECONDS = 15.0
"""How long a head may take from its first byte."""
IDLE_SECONDS = 75.0
"""How long a connection is kept without a request."""


@dataclass(frozen=True)
class Rooms:
    """What connections work with."""

    authorizer: Authorizer
    clusters: dict[str, Cluster]
    living: LivingSessions
    open_links: OpenLinks
    clients: Clients
    scheme: str


class Connection:
    """One browser's connection, and the application's that it goes on to."""

    def __init__(self, browser: Wire, rooms: Rooms) -> None:
        self._browser = browser
        self._rooms = rooms
        self._peer = browser.peer
        self._application: Wire | None = None
        self._key: Key | None = None
        self._counted: str | None = None
        """The client for whom a proxy's connection is counted."""

    async def serve(self) -> None:
        """Answer requests until either end has had enough."""
        try:
            while await self._one():
                pass
        except (Broken, Gone, TimeoutError) as error:
            log.debug("connection of a browser ended", peer=self._peer, reason=str(error))
        finally:
            self._leave_application()
            self._browser.close()
            if self._counted is not None:
                self._rooms.clients.leave(self._counted)

    async def _one(self) -> bool:
        """Answer one request; return whether another may come."""
        try:
            head = await self._next()
        except BadHead as error:
            await self._say(pages.refused(error.status, error.why), None)
            return False
        if head is None:
            return False
        client = client_of(head, self._peer)
        try:
            self._count(client)
            answer = await self._rooms.authorizer.authorize(head, client)
            if answer is not None:
                await self._browser.send(answer)
                return head.lasts and not head.has_body
            place = await self._rooms.authorizer.place(head, client)
            return await self._go(head, place, client)
        except pages.Page as page:
            await self._say(page, head)
            return False

    async def _next(self) -> RequestHead | None:
        if not self._browser.buffer:
            async with asyncio.timeout(IDLE_SECONDS):
                if not await self._browser.fill():
                    return None
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                return await read_request(self._browser)
        except TimeoutError as error:
            why = f"the head of the request has not come within {HEAD_SECONDS:g} seconds"
            raise BadHead(408, why) from error

    def _count(self, client: str) -> None:
        """Count a proxy's connection for whom it asks now; raise Page for one who has too many."""
        if not is_proxy(self._peer) or client == (self._counted or self._peer):
            return
        if self._counted is not None:
            self._rooms.clients.leave(self._counted)
            self._counted = None
        if client != self._peer:
            if not self._rooms.clients.enter(client):
                raise pages.too_many_of_client()
            self._counted = client

    async def _go(self, head: RequestHead, place: Place, client: str) -> bool:
        """Ask the application; return whether another request may come. Raises Page."""
        kept = self._application
        application = await self._reach(place)
        exchange = Exchange(self._browser, application, head)
        try:
            lived = await self._alive(head, place, self._ask(exchange, client))
        except BadHead as error:
            self._give_up(exchange)
            raise _page_of(error) from error
        except Broken as error:
            if application is kept and head.is_repeatable and exchange.is_unheard:
                # The application may close a connection that was quiet, just when it is used again.
                self._leave_application()
                return await self._go(head, place, client)
            self._give_up(exchange)
            raise pages.failed("the application has ended the connection") from error
        if not lived:
            self._give_up(exchange)
            raise pages.not_let_in("The session has ended.")
        if not exchange.application_lasts:
            self._leave_application()
        if not exchange.browser_lasts:
            await part(self._browser)
        return exchange.browser_lasts

    async def _ask(self, exchange: Exchange, client: str) -> None:
        await exchange.run(self._rooms.scheme, client)

    async def _alive(self, head: RequestHead, place: Place, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work as long as whoever asks may have it done; say whether it came to its own end."""
        what = "public link" if place.session is None else "session"
        try:
            if place.session is None:
                domain = self._rooms.authorizer.domain(head.host)
                return await self._rooms.open_links.run(domain, place, work)
            return await self._rooms.living.run(place.session.number, work)
        except TooManyConnections as error:
            raise pages.refused(429, f"this {what} has as many connections as it may have") from error

    def _give_up(self, exchange: Exchange) -> None:
        """Leave both ends after a failure: an answer that has begun cannot be mended any more."""
        self._leave_application()
        if exchange.answered:
            self._browser.reset()
            raise Broken("the application's answer ended too early")

    async def _reach(self, place: Place) -> Wire:
        """Return a connection to the application, the last one if it is still good; raise Page."""
        if self._application and self._key == place.key and self._application.is_quiet:
            return self._application
        self._leave_application()
        try:
            replica = replica_of_job(place.job, place.rank)
            port = PORT_FILE if place.port is None else place.port
            opened = await self._rooms.clusters[place.job.cluster].tunnels.open(replica, port)
        except (NotReady, NotRunning) as error:
            raise pages.not_ready(str(error)) from error
        except TunnelRefused as error:
            raise pages.Page(403, "The application cannot be reached", f"{error}.") from error
        except ClusterUnavailable as error:
            log.warning("no tunnel", job_id=place.job.job_id, reason=str(error))
            raise pages.not_ready("the cluster does not answer just now") from error
        self._application, self._key = Wire(opened), place.key
        return self._application

    def _leave_application(self) -> None:
        if self._application:
            self._application.close()
        self._application = None

    async def _say(self, page: pages.Page, head: RequestHead | None) -> None:
        html = head is not None and head.is_navigation
        await self._browser.send(page.response(html=html, with_body=head is None or head.method != b"HEAD"))
        await part(self._browser)


def _page_of(error: BadHead) -> pages.Page:
    return pages.failed(error.why) if error.status == 502 else pages.refused(error.status, error.why)
