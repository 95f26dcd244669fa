"""Calls to Core's control API, with the provider's access token."""

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
from slurm_provider.ucloud.jobs import Job

Answer = TypeVar("Answer", bound=BaseModel)

RENEW_BEFORE_SECONDS = 180


class CoreUnavailable(Exception):
    """Core gave no answer to rely on: the call has to be made again."""


class CoreRefused(Exception):
    """Core understood the call and refuses it; the text is its reason."""

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
        self._http = httpx.AsyncClient(base_url=config.url, timeout=config.timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def update(self, items: Sequence[str]) -> None:
        """Send job updates (`jobs/control/update`), each the JSON of one item."""
        await self._control("POST", "/api/jobs/control/update", body=_bulk(items))

    async def charge(self, items: Sequence[str]) -> ChargeAnswer:
        """Charge for usage (`chargeCredits`), each item the JSON of one charge."""
        return await self._charge_call("/api/jobs/control/chargeCredits", items)

    async def check_credits(self, items: Sequence[str]) -> ChargeAnswer:
        """Ask whether these charges could be paid (`checkCredits`), without making them."""
        return await self._charge_call("/api/jobs/control/checkCredits", items)

    async def _charge_call(self, path: str, items: Sequence[str]) -> ChargeAnswer:
        return _parse(await self._control("POST", path, body=_bulk(items)), ChargeAnswer)

    async def retrieve(self, job_id: str) -> Job:
        """Return a job of ours as Core knows it, with its application and product."""
        flags = {
            "id": job_id,
            "includeProduct": "true",
            "includeApplication": "true",
            "includeParameters": "true",
        }
        return _parse(await self._control("GET", "/api/jobs/control/retrieve", query=flags), Job)

    async def _control(
        self, method: str, path: str, *, body: str | None = None, query: dict[str, str] | None = None
    ) -> bytes:
        headers = {
            "Authorization": f"Bearer {await self._access_token()}",
            "Content-Type": "application/json",
        }
        try:
            return await self._send(method, path, body, query, headers)
        except CoreRefused as error:
            if error.status not in (401, 403):
                raise
            # A token that Core no longer takes looks like any other 403: try once with a new one.
            self._renew_at = 0.0
        headers["Authorization"] = f"Bearer {await self._access_token()}"
        return await self._send(method, path, body, query, headers)

    async def _access_token(self) -> str:
        if self._clock() >= self._renew_at:
            body = json.dumps({"items": [{"refreshToken": self._refresh_token}]})
            headers = {"Content-Type": "application/json"}
            answer = await self._send("POST", "/auth/providers/refresh", body, None, headers)
            self._token = _parse(answer, RefreshAnswer).responses[0].accessToken
            claims = jwt.decode(self._token, options={"verify_signature": False})
            self._renew_at = float(claims.get("exp", 0)) - RENEW_BEFORE_SECONDS
        return self._token

    async def _send(
        self, method: str, path: str, body: str | None, query: dict[str, str] | None, headers: dict[str, str]
    ) -> bytes:
        try:
            response = await self._http.request(method, path, content=body, params=query, headers=headers)
        except httpx.HTTPError as error:
            raise CoreUnavailable(f"Core does not answer: {type(error).__name__} {error}") from error
        if response.is_success:
            return response.content
        if response.status_code >= 500 or response.status_code in (408, 429, 449):
            raise CoreUnavailable(f"Core answers HTTP {response.status_code}: {_why(response)}")
        raise CoreRefused(response.status_code, _why(response))


def _bulk(items: Sequence[str]) -> str:
    return f'{{"items":[{",".join(items)}]}}'


def _parse(body: bytes, model: type[Answer]) -> Answer:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise CoreUnavailable(f"Core's answer is not what was asked for: {error}") from error


def _why(response: httpx.Response) -> str:
    try:
        answer: Any = response.json()
    except ValueError:
        answer = None
    why = answer.get("why") if isinstance(answer, dict) else None
    return str(why or response.reason_phrase)
