"""Who is let in: a link's token becomes a cookie of its domain, and a cookie leads to one rank of one job."""

import re
from collections.abc import Callable, Collection
from functools import partial
from urllib.parse import parse_qs

import structlog

from slurm_provider.config import FacadeConfig
from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.cookies import our_cookie, proper, secrets_in
from slurm_provider.facade.gateway.heads import RequestHead
from slurm_provider.facade.gateway.links import behind, bound
from slurm_provider.facade.gateway.places import Place
from slurm_provider.jobmap import Door, JobMap, JobRow, LinkBinding, Session, SessionKind, TooManySessions
from slurm_provider.jobmap.sessions import new_secret

log = structlog.get_logger()

_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_SAFE = (b"GET", b"HEAD", b"OPTIONS")

Found = Collection[Session | str]
"""What secrets lead to: sessions, or words why they let nobody in any more."""
Choice = Callable[[Found, SessionKind, str], Session | None]


class Authorizer:
    """Decides of every request where it leads to, if anywhere."""

    def __init__(self, config: FacadeConfig, jobmap: Door, clock: Callable[[], float]) -> None:
        if config.web is None:
            raise ValueError("there is no [web] to be served")
        self._web = config.web
        self._sessions = config.sessions
        self._jobmap = jobmap
        self._clock = clock
        self._path = f"/ucloud/{config.provider.id}/authorize-app".encode("ascii")

    async def place(self, head: RequestHead, client: str) -> Place:
        """Return where a request leads to; raise Page for one that leads nowhere."""
        domain = self.domain(head.host)
        secrets = secrets_in(head.all(b"cookie"), https=self._web.scheme == "https")
        look = partial(_look, domain=domain, secrets=secrets, choose=self._choose)
        binding, row, found = await self._jobmap.call(look)
        if binding and (link := behind(binding, row)):
            return link
        if not self.is_ours(domain):
            raise pages.unknown()
        session = self._choose(found, SessionKind.COOKIE, domain)
        if session is None:
            raise _refusal(found)
        self._check_origin(head, domain)
        if row is None or row.state.is_final or row.wished_state is not None:
            raise pages.ended()
        return Place(row, session.rank, session.port, session)

    async def authorize(self, head: RequestHead, client: str) -> bytes | None:
        """Return the answer to a link that was opened, None for any other request; raise Page."""
        path, _, query = head.target.partition(b"?")
        if path != self._path or not self.is_ours(domain := self.domain(head.host)):
            return None
        if head.method not in (b"GET", b"HEAD"):
            raise pages.refused(405, "a link can only be opened")
        tokens = parse_qs(query.decode("ascii", errors="replace")).get("token", [])
        token = proper(word.encode() for word in tokens[:1])
        cookies = secrets_in(head.all(b"cookie"), https=self._web.scheme == "https")
        opened, known = await self._jobmap.call(_look_up, token, cookies)
        link = self._choose(opened, SessionKind.WEB, domain)
        if link is None:
            raise _refusal(opened)
        cookie = self._choose(known, SessionKind.COOKIE, domain)
        if cookie and (cookie.ucloud_user, cookie.port) == (link.ucloud_user, link.port):
            return _let_in(None)
        return _let_in(await self._cookie(token[0], link, client))

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

    def _choose(self, found: Found, kind: SessionKind, domain: str) -> Session | None:
        """Return the first session of a kind that is with what a domain shows."""
        for session in found:
            if isinstance(session, str) or session.kind is not kind or session.job_id is None:
                continue
            if self._web.domain(session.job_id, session.rank, session.target) == domain:
                return session
        return None

    async def _cookie(self, token: str, link: Session, client: str) -> bytes:
        """Return a new cookie; raise Page where the link has ended in the meantime."""
        lifetime, most = int(self._sessions.web_lifetime_seconds), self._sessions.per_user
        until = int(self._clock()) + lifetime
        secret = new_secret()
        try:
            opened = await self._jobmap.call(
                lambda jobmap: jobmap.sessions.let_in(token, secret, until, most, client)
            )
        except TooManySessions as error:
            why = f"there are {most} open sessions of this user already; close one first"
            raise pages.refused(429, why) from error
        if opened is None:
            raise _refusal((await self._jobmap.call(_look_up, [token], []))[0])
        log.info("web application opened", job_id=link.job_id, rank=link.rank, client=client)
        return our_cookie(secret, lifetime, https=self._web.scheme == "https")

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


def _refusal(found: Found) -> pages.Page:
    """Return the answer to secrets that do not lead to where they were shown."""
    match next(iter(found), None):
        case None:
            return pages.not_let_in("This browser has no session here, or it has expired.")
        case "the job has ended":
            return pages.ended()
        case str(reason):
            return pages.not_let_in(f"{reason[:1].upper()}{reason[1:]}.")
    return pages.not_let_in("This session is with something else.")


def _look(
    jobmap: JobMap, domain: str, secrets: list[str], choose: Choice
) -> tuple[LinkBinding | None, JobRow | None, Found]:
    """Return the public link of a domain with its job, or else what secrets lead to, with that job."""
    binding, row = bound(jobmap, domain)
    if binding is not None:
        return binding, row, []
    found = jobmap.sessions.look_up(secrets)
    session = choose(found, SessionKind.COOKIE, domain)
    return None, jobmap.job(session.job_id or "") if session else None, found


def _look_up(jobmap: JobMap, *secrets: list[str]) -> list[Found]:
    return [jobmap.sessions.look_up(some) for some in secrets]
