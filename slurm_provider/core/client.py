"""Calls to Core's control API, with the provider's access token."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import jwt
from pydantic import BaseModel, ValidationError

from slurm_provider.config import Core
from slurm_provider.ucloud.control import ChargeAnswer, RefreshAnswer
from slurm_provider.ucloud.ingresses import Ingress
from slurm_provider.ucloud.jobs import Job
from slurm_provider.ucloud.ssh import SshKey, SshKeyPage

Answer = TypeVar("Answer", bound=BaseModel)

RENEW_BEFORE_SECONDS = 180
NOT_AUTHORIZED = (401, 403)
TRY_AGAIN = (408, 429, 449)


class CoreUnavailable(Exception):
    """Core gave no answer to rely on, or does not know us: the call has to be made again."""


class CoreRefused(Exception):
    """Core understood the call, knows who makes it, and refuses it; the text is its reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{why} (HTTP {status})")
        self.status = status
        self.why = why


class CoreClient:
    """Core as the provider sees it. Calls raise CoreUnavailable or CoreRefused."""

    def __init__(self, config: Core, clock: Callable[[], float] = time.time) -> None:
        self._refresh_token = config.refresh_token_file.read_text().strip()
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0
        self._timeout_seconds = config.timeout_seconds
        self._http = httpx.AsyncClient(base_url=config.url, timeout=config.timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def update(self, items: Sequence[str]) -> None:
        """Send job updates (`jobs/control/update`), each the JSON of one item."""
        await self.control("POST", "/api/jobs/control/update", body=bulk(items))

    async def update_links(self, items: Sequence[str]) -> None:
        """Send updates of public links (`ingresses/control/update`), likewise."""
        await self.control("POST", "/api/ingresses/control/update", body=bulk(items))

    async def charge(self, items: Sequence[str]) -> ChargeAnswer:
        """Charge for usage (`chargeCredits`), each item the JSON of one charge."""
        return await self._charge_call("/api/jobs/control/chargeCredits", items)

    async def check_credits(self, items: Sequence[str]) -> ChargeAnswer:
        """Ask whether these charges could be paid (`checkCredits`), without making them."""
        return await self._charge_call("/api/jobs/control/checkCredits", items)

    async def _charge_call(self, path: str, items: Sequence[str]) -> ChargeAnswer:
        return parse(await self.control("POST", path, body=bulk(items)), ChargeAnswer)

    async def retrieve(self, job_id: str) -> Job:
        """Return a job of ours as Core knows it, with its application and product."""
        flags = {
            "id": job_id,
            "includeProduct": "true",
            "includeApplication": "true",
            "includeParameters": "true",
        }
        return parse(await self.control("GET", "/api/jobs/control/retrieve", query=flags), Job)

    async def retrieve_link(self, link_id: str) -> Ingress:
        """Return a public link of ours as Core knows it."""
        path = "/api/ingresses/control/retrieve"
        return parse(await self.control("GET", path, query={"id": link_id}), Ingress)

    async def approve_connection(self, username: str) -> None:
        """Say that a UCloud user is mapped to a local user now."""
        body = json.dumps({"username": username})
        await self.control("POST", "/api/providers/integration/control/approveConnection", body=body)

    async def clear_connection(self, username: str) -> None:
        """Say that a UCloud user is mapped to no local user any more."""
        body = json.dumps({"username": username})
        await self.control("POST", "/api/providers/integration/control/clearConnection", body=body)

    async def ssh_keys(self, job_id: str) -> list[SshKey]:
        """Return the SSH keys of a job's owner (`browseSshKeys`)."""
        body = json.dumps({"jobId": job_id, "owner": True})
        page = parse(await self.control("POST", "/api/jobs/control/browseSshKeys", body=body), SshKeyPage)
        return page.items or []

    async def control(
        self, method: str, path: str, *, body: str | None = None, query: dict[str, str] | None = None
    ) -> bytes:
        """Make any call of the control API; return the body of its answer."""
        response = await self._authorized(method, path, body, query)
        if response.status_code in NOT_AUTHORIZED:
            # A token that Core no longer takes looks like any other 403: try once with a new one.
            self._renew_at = 0.0
            response = await self._authorized(method, path, body, query)
            if response.status_code in NOT_AUTHORIZED and not await self._is_about_the_call(response):
                why = _why(response) or response.reason_phrase
                raise CoreUnavailable(f"Core does not take our token: {why} (HTTP {response.status_code})")
        return _content(response)

    async def _is_about_the_call(self, response: httpx.Response) -> bool:
        """Return whether a 403 is about what was asked for: if Core takes our token for another call."""
        if response.status_code != httpx.codes.FORBIDDEN:
            return False
        other = await self._authorized("GET", "/api/jobs/control/browse", None, {"itemsPerPage": "1"})
        return other.is_success

    async def _authorized(
        self, method: str, path: str, body: str | None, query: dict[str, str] | None
    ) -> httpx.Response:
        return await self._send(method, path, body, query, token=await self._access_token())

    async def _access_token(self) -> str:
        if self._clock() >= self._renew_at:
            body = json.dumps({"items": [{"refreshToken": self._refresh_token}]})
            try:
                answer = _content(await self._send("POST", "/auth/providers/refresh", body))
            except CoreRefused as error:
                raise CoreUnavailable(f"Core does not take our refresh token: {error}") from error
            token = parse(answer, RefreshAnswer).responses[0].accessToken
            self._renew_at = _expiry(token) - RENEW_BEFORE_SECONDS
            self._token = token
        return self._token

    async def _send(
        self,
        method: str,
        path: str,
        body: str | None,
        query: dict[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """Return Core's whole answer, whatever its status; raise CoreUnavailable if it takes too long."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            # httpx bounds each read: an answer that trickles would never end.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._http.request(method, path, content=body, params=query, headers=headers)
        except (httpx.HTTPError, TimeoutError) as error:
            raise CoreUnavailable(f"Core does not answer: {type(error).__name__} {error}") from error


def _content(response: httpx.Response) -> bytes:
    """Return the body of a success; raise CoreRefused for a refusal that is surely Core's own.

    Core says why in JSON. A redirect, or a 404 without a reason, is the word of a proxy in front of it.
    """
    if response.is_success:
        return response.content
    status, why = response.status_code, _why(response)
    if why is None or not response.is_client_error or status in TRY_AGAIN:
        raise CoreUnavailable(f"Core answers HTTP {status}: {why or response.reason_phrase}")
    raise CoreRefused(status, why)


def _expiry(token: str) -> float:
    """Return the epoch second at which a token ends."""
    try:
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
        raise CoreUnavailable(
            f"Core's token is none, or has no end: {type(error).__name__} {error}"
        ) from error


def bulk(items: Sequence[str]) -> str:
    """Return a bulk request of items that are JSON already."""
    return f'{{"items":[{",".join(items)}]}}'


def parse(body: bytes, model: type[Answer]) -> Answer:
    """Return an answer as this model; raise CoreUnavailable for one that is something else."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise CoreUnavailable(f"Core's answer is not what was asked for: {error}") from error


def _why(response: httpx.Response) -> str | None:
    try:
        answer: Any = response.json()
    except ValueError:
        return None
    why = answer.get("why") if isinstance(answer, dict) else None
    return why if isinstance(why, str) else None
