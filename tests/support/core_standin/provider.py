"""Core's calls to the provider, with every habit of Core that catches a provider out."""

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from .wire import CoreError, JsonObject
from .world import World

TIMEOUT_SECONDS = 5.0
RETRIES = 5
RETRY_PAUSE_SECONDS = 0.5
WAKE_UP = frozenset({449, 503})


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 when nothing did, and `error` then says "timeout" or "unreachable"."""

    status: int
    body: Any
    seconds: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Any 2xx."""
        return 200 <= self.status < 300

    def as_json(self) -> JsonObject:
        """As the stand-in's own door shows it."""
        return {"status": self.status, "body": self.body, "seconds": self.seconds, "error": self.error}


class ProviderClient:
    """HTTP to the provider: no Content-Type, 5 s for all of a call, replays on 449 and 503."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._http = httpx.AsyncClient(timeout=None, headers={"Accept-Encoding": "gzip"}, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def user_call(self, path: str, body: JsonObject, user: str, *, method: str = "POST") -> JsonObject:
        """A call on a user's behalf, for its decoded reply; a CoreError for whatever the user is to read."""
        answer = await self.call(method, path, json.dumps(body).encode(), user=user)
        reply = self.expect(answer)
        sent = body.get("items")
        if isinstance(sent, list):
            self._expect_responses(reply, len(sent), path)
        return reply

    async def call(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        user: str | None = None,
        token: str | None = None,
        replay: bool = True,
    ) -> Answer:
        """One call, repeated after integration/init while the provider says 449 or 503 to a user's call.

        `path` is relative to the provider's prefix (`jobs/verify`) or absolute (`/ucloud/...`).
        """
        answer = await self._once(method, path, content, user, token)
        retries = RETRIES if user is not None and replay else 0
        while answer.status in WAKE_UP and retries > 0:
            retries -= 1
            await self._once("POST", "integration/init", json.dumps({"username": user}).encode(), None, None)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            answer = await self._once(method, path, content, user, token)
        return answer

    def expect(self, answer: Answer) -> JsonObject:
        """The reply of a call that went well; a CoreError that says how it did not.

        The text of a 5xx is not for users.
        """
        if answer.error is not None:
            raise CoreError(502, f"The provider did not answer ({answer.error})")
        if not answer.ok:
            hidden = "Internal error at the provider"
            raise CoreError(answer.status, hidden if answer.status >= 500 else _why(answer.body))
        if not isinstance(answer.body, dict):
            raise CoreError(502, "Bad response from provider")
        return answer.body

    def _expect_responses(self, reply: JsonObject, length: int, path: str) -> None:
        responses = reply.get("responses")
        if not isinstance(responses, list) or len(responses) != length:
            self._world.journal.violation("the reply has not one response per item", path, reply)
            raise CoreError(502, "Bad response from provider")

    async def _once(
        self, method: str, path: str, content: bytes | None, user: str | None, token: str | None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token or self._world.keys.service_token()}"}
        if user is not None:
            headers["UCloud-Username"] = base64.b64encode(user.encode()).decode()
        full_path = self._full_path(path)
        started = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                response = await self._http.request(
                    method, self._world.provider_url + full_path, content=content, headers=headers
                )
            answer = self._read(response, full_path, time.monotonic() - started)
        except TimeoutError:
            self._world.journal.violation(f"no answer within {TIMEOUT_SECONDS:g} s", full_path)
            answer = Answer(0, None, time.monotonic() - started, "timeout")
        except httpx.TransportError as error:
            answer = Answer(0, str(error), time.monotonic() - started, "unreachable")
        self._record(method, full_path, content, user, answer)
        return answer

    def _full_path(self, path: str) -> str:
        full = path if path.startswith("/") else f"/ucloud/{self._world.provider_id}/{path}"
        return full.replace("/", "//") if self._world.behaviour.doubled_slashes else full

    def _read(self, response: httpx.Response, path: str, seconds: float) -> Answer:
        body = _decode(response.content)
        answer = Answer(response.status_code, body, seconds)
        if answer.ok and body is None:
            self._world.journal.violation("a success without a JSON body", path, response.text[:200])
        if not answer.ok and not _why(body, ""):
            self._world.journal.violation("an error without a 'why'", path, response.text[:200])
        return answer

    def _record(
        self, method: str, path: str, content: bytes | None, user: str | None, answer: Answer
    ) -> None:
        self._world.journal.add_sent(
            {
                "method": method,
                "path": path,
                "user": user,
                "body": _decode(content) if content else None,
                "status": answer.status,
                "reply": answer.body,
                "seconds": answer.seconds,
                "error": answer.error,
            }
        )


def _decode(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _why(body: object, default: str = "Unknown error from the provider") -> str:
    why = body.get("why") if isinstance(body, dict) else None
    return why if isinstance(why, str) and why else default
