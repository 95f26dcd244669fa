"""Who is let in: a link's token becomes a cookie of its domain, and a cookie leads to one rank of one job."""

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs

import structlog

from slurm_provider.config import FacadeConfig
from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.cookies import our_cookie, secrets_in
from slurm_provider.facade.gateway.heads import RequestHead
from slurm_provider.facade.gateway.places import Place, PublicLinks
from slurm_provider.jobmap import Door, JobMap, Session, SessionKind, TooManySessions
from slurm_provider.jobmap.sessions import new_secret

log = structlog.get_logger()

_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_SAFE = (b"GET", b"HEAD", b"OPTIONS")


class Authorizer:
    """Decides of every request where it leads to, if anywhere."""

    def __init__(
        self, config: FacadeConfig, jobmap: Door, links: PublicLinks, clock: Callable[[], float]
    ) -> None:
        if config.web is None:
            raise ValueError("there is no [web] to be served")
        self._web = config.web
        self._sessions = config.sessions
        self._jobmap = jobmap
        self._links = links
        self._clock = clock
        self._path = f"/ucloud/{config.provider.id}/authorize-app".encode("ascii")

    async def place(self, head: RequestHead, client: str) -> Place:
        """Return where a request leads to; raise Page for one that leads nowhere."""
        domain = self.domain(head.host)
        if link := await self._links(domain):
            return link
        if not self.is_ours(domain):
            raise pages.unknown()
        secrets = secrets_in(head.all(b"cookie"), https=self._web.scheme == "https")
        session = await self._session(secrets, [SessionKind.COOKIE], domain)
        if session is None:
            raise await self._refusal(secrets)
        self._check_origin(head, domain)
        return await self._place_of(session)

    async def authorize(self, head: RequestHead, client: str) -> bytes | None:
        """Return the answer to a link that was opened, None for any other request; raise Page."""
        path, _, query = head.target.partition(b"?")
        if path != self._path or not self.is_ours(domain := self.domain(head.host)):
            return None
        if head.method not in (b"GET", b"HEAD"):
            raise pages.refused(405, "a link can only be opened")
        tokens = parse_qs(query.decode("ascii", errors="replace")).get("token", [])
        session = await self._session(tokens[:1], [SessionKind.WEB], domain)
        if session is None:
            raise await self._refusal(tokens[:1])
        return _let_in(await self._cookie(session, head, domain, client))

    def domain(self, host: str) -> str:
        """Return the domain of a Host header, in lower case; raise Page for an odd one or another's port."""
        name, colon, port = host.lower().partition(":")
        usual = 443 if self._web.scheme == "https" else 80
        if not _DOMAIN.fullmatch(name):
            raise pages.refused(400, "the request names no proper host")
        if (int(port) if colon else usual) != (self._web.port or usual):
            raise pages.refused(421, "the request is meant for another port")
        return name

    def is_ours(self, domain: str) -> bool:
        """Say whether a domain can be that of a job."""
        label = domain.removesuffix(self._web.suffix)
        return label != domain and "." not in label and label.startswith(self._web.prefix)

    async def _session(self, secrets: list[str], kinds: list[SessionKind], domain: str) -> Session | None:
        for secret in secrets[:8]:
            session = await self._jobmap.call(_valid, secret, kinds)
            if session and session.job_id is not None:
                own = self._web.domain(session.job_id, session.rank, session.target)
                if own == domain:
                    return session
        return None

    async def _refusal(self, secrets: list[str]) -> pages.Page:
        for secret in secrets[:8]:
            if await self._jobmap.call(_valid, secret, list(SessionKind)):
                return pages.not_let_in("This session is with something else.")
            match await self._jobmap.call(_ended, secret):
                case None:
                    continue
                case "the job has ended":
                    return pages.ended()
                case reason:
                    return pages.not_let_in(f"{reason[:1].upper()}{reason[1:]}.")
        return pages.not_let_in("This browser has no session here, or it has expired.")

    async def _place_of(self, session: Session) -> Place:
        row = await self._jobmap.call(JobMap.job, session.job_id or "")
        if row is None or row.state.is_final or row.wished_state is not None:
            raise pages.ended()
        return Place(row, session.rank, session.port, session)

    async def _cookie(self, link: Session, head: RequestHead, domain: str, client: str) -> bytes | None:
        """Return a new cookie; None when the browser has one already that is the same user's."""
        https = self._web.scheme == "https"
        secrets = secrets_in(head.all(b"cookie"), https=https)
        known = await self._session(secrets, [SessionKind.COOKIE], domain)
        if known and (known.ucloud_user, known.port) == (link.ucloud_user, link.port):
            return None
        lifetime = int(self._sessions.web_lifetime_seconds)
        secret = new_secret()
        try:
            await self._jobmap.call(
                _open_cookie, secret, link, int(self._clock()) + lifetime, self._sessions.per_user, client
            )
        except TooManySessions as error:
            most = self._sessions.per_user
            why = f"there are {most} open sessions of this user already; close one first"
            raise pages.refused(429, why) from error
        log.info("web application opened", job_id=link.job_id, rank=link.rank, client=client)
        return our_cookie(secret, lifetime, https=https)

    def _check_origin(self, head: RequestHead, domain: str) -> None:
        """Raise Page for what another site's page does in the user's name."""
        site = head.get(b"sec-fetch-site")
        if site in (b"same-site", b"cross-site") and not _is_opened(head):
            raise pages.refused(403, "another web site may not use this application")
        origin = head.get(b"origin")
        if origin is None or site == b"same-origin":
            return
        changes = head.upgrade is not None or head.method not in _SAFE
        if changes and origin.decode("ascii", errors="replace").lower() != self._web.origin(domain):
            raise pages.refused(403, "another web site may not use this application")


def _is_opened(head: RequestHead) -> bool:
    """Say whether a person has followed a link to here, in a window of its own."""
    dest = head.get(b"sec-fetch-dest")
    opened = head.get(b"sec-fetch-mode") == b"navigate" and dest in (b"document", None)
    return opened and head.method in (b"GET", b"HEAD")


def _let_in(cookie: bytes | None) -> bytes:
    lines = [
        b"HTTP/1.1 302 Found",
        b"Location: /",
        *([b"Set-Cookie: " + cookie] if cookie else []),
        b"Content-Length: 0",
        b"Cache-Control: no-store",
        b"Referrer-Policy: no-referrer",
    ]
    return b"\r\n".join([*lines, b"", b""])


def _valid(jobmap: JobMap, secret: str, kinds: list[SessionKind]) -> Session | None:
    return jobmap.sessions.valid(secret, kinds)


def _ended(jobmap: JobMap, secret: str) -> str | None:
    return jobmap.sessions.ended(secret)


def _open_cookie(jobmap: JobMap, secret: str, link: Session, expires_at: int, most: int, client: str) -> None:
    cookie = replace(link, kind=SessionKind.COOKIE, expires_at=expires_at)
    opened = jobmap.sessions.open(secret, cookie, most)
    jobmap.sessions.used(link.number, client)
    jobmap.sessions.used(opened.number, client)
