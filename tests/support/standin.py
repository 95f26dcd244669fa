"""For tests: the stand-in for Core as a program of its own, and a client of its door."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
READY = "core-standin ready on "


class CoreStandin:
    """A running stand-in, by its URL. Every method is one call of it; a refusal raises httpx.HTTPStatusError.

    Calls that return a provider's answer give `{status, body, seconds, error}`; status 0 means none came
    (error "timeout" or "unreachable").
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=120, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the program goes on."""
        await self._http.aclose()

    # To the provider, as Core

    async def create(self, bulk: Json | bytes) -> Json:
        """Send a Bulk<Job> as it is (bytes: verbatim); gives the provider's answer."""
        content = bulk if isinstance(bulk, bytes) else json.dumps(bulk).encode()
        return await self._door("POST", "create", content=content)

    async def call(
        self,
        path: str,
        body: Json | None = None,
        *,
        user: str | None = None,
        method: str = "POST",
        token: str | None = None,
        replay: bool = True,
    ) -> Json:
        """Any call to the provider (`jobs/verify`); replayed on 449 and 503 when it has a user."""
        request = {"path": path, "body": body, "user": user, "method": method, "token": token}
        return await self._door("POST", "call", json=request | {"replay": replay})

    async def poll(self) -> dict[str, Json]:
        """Ask for the manifest and all six kinds of products, as today's Core does; answers by path."""
        return await self._door("POST", "poll")

    # As a user of the portal

    async def create_as_user(self, user: str, *specifications: Json, project: str | None = None) -> list[str]:
        """Submit jobs; gives their ids."""
        reply = await self.as_user(
            user, "POST", "/api/jobs", {"items": list(specifications)}, project=project
        )
        return [response["id"] for response in reply["responses"]]

    async def terminate_as_user(self, user: str, *job_ids: str, project: str | None = None) -> Json:
        """Ask for the end of jobs."""
        items = [{"id": job_id} for job_id in job_ids]
        return await self.as_user(user, "POST", "/api/jobs/terminate", {"items": items}, project=project)

    async def as_user(
        self, user: str, method: str, path: str, body: Json | None = None, *, project: str | None = None
    ) -> Json:
        """Any end-user call."""
        headers = {"Authorization": f"Bearer {await self.user_token(user, project)}"}
        return _read(await self._http.request(method, path, json=body, headers=headers))

    async def user_token(self, user: str, project: str | None = None) -> str:
        """A user's token."""
        query = {"user": user} | ({"project": project} if project else {})
        return await self._text("GET", "token", params=query)

    async def activate_licence(
        self, user: str, product: str = "example-license", *, project: str | None = None
    ) -> str:
        """Activate a licence; gives its id."""
        reference = {"id": product, "category": product, "provider": "example"}
        body = {"items": [{"product": reference}]}
        reply = await self.as_user(user, "POST", "/api/licenses", body, project=project)
        return str(reply["responses"][0]["id"])

    async def create_link_as_user(
        self, user: str, domain: str, product: str = "example-ingress", *, project: str | None = None
    ) -> str:
        """Make a public link; gives its id."""
        reference = {"id": product, "category": product, "provider": "example"}
        body = {"items": [{"domain": domain, "product": reference}]}
        reply = await self.as_user(user, "POST", "/api/ingresses", body, project=project)
        return str(reply["responses"][0]["id"])

    async def delete_link_as_user(self, user: str, link_id: str) -> Json:
        """Delete a public link."""
        return await self.as_user(user, "DELETE", "/api/ingresses", {"items": [{"id": link_id}]})

    async def link_as_user(self, user: str, link_id: str, *, project: str | None = None) -> Json:
        """A public link as its user sees it."""
        path = f"/api/ingresses/retrieve?includeUpdates=false&id={link_id}"
        return await self.as_user(user, "GET", path, project=project)

    async def extend_as_user(
        self, user: str, job_id: str, *, project: str | None = None, **time: int
    ) -> Json:
        """Ask for more time: hours, minutes, seconds."""
        requested = {"hours": 0, "minutes": 0, "seconds": 0} | time
        body = {"items": [{"jobId": job_id, "requestedTime": requested}]}
        return await self.as_user(user, "POST", "/api/jobs/extend", body, project=project)

    async def suspend_as_user(self, user: str, *job_ids: str, project: str | None = None) -> Json:
        """Ask for a pause of jobs."""
        body = {"items": [{"id": job_id} for job_id in job_ids]}
        return await self.as_user(user, "POST", "/api/jobs/suspend", body, project=project)

    async def unsuspend_as_user(self, user: str, *job_ids: str, project: str | None = None) -> Json:
        """Ask for jobs to go on."""
        body = {"items": [{"id": job_id} for job_id in job_ids]}
        return await self.as_user(user, "POST", "/api/jobs/unsuspend", body, project=project)

    async def update_acl_as_user(
        self, user: str, job_id: str, *, add: list[Json] | None = None, delete: list[Json] | None = None
    ) -> Json:
        """Give `{entity, permissions}` on a job, and take from entities."""
        body = {"items": [{"id": job_id, "added": add or [], "deleted": delete or []}]}
        return await self.as_user(user, "POST", "/api/jobs/updateAcl", body)

    async def retrieve_as_user(
        self, user: str, job_id: str, *, project: str | None = None, **flags: str
    ) -> Json:
        """A job as its user sees it; flags as `includeProduct="true"`."""
        query = "&".join(f"{name}={value}" for name, value in (flags | {"id": job_id}).items())
        return await self.as_user(user, "GET", f"/api/jobs/retrieve?{query}", project=project)

    # What happened

    async def received(self, path: str | None = None, since: int = 0) -> list[Json]:
        """Calls from the provider: `{seq, time, method, path, query, body, status, reply, ...}`."""
        return list((await self._door("GET", "received", params=_query(path=path, since=since)))["items"])

    async def sent(self, path: str | None = None, since: int = 0) -> list[Json]:
        """Calls to the provider: `{seq, time, method, path, user, body, status, reply, seconds, error}`."""
        return list((await self._door("GET", "sent", params=_query(path=path, since=since)))["items"])

    async def last_seq(self) -> int:
        """The number of the last call received, to wait for later ones."""
        return int((await self._door("GET", "received"))["last"])

    async def wait(
        self,
        path: str | None = None,
        *,
        job: str | None = None,
        state: str | None = None,
        status: str | None = None,
        since: int = 0,
        timeout: float = 30,
        accepted: bool = True,
    ) -> Json:
        """The first call received that matches, `item` being the part of its body that does.

        Raises TimeoutError when none has come in time. `accepted=False` lets refused calls match too.
        """
        query = _query(path=path, job=job, state=state, status=status, since=since, timeout=timeout)
        query["accepted"] = str(accepted).lower()
        response = await self._http.get("/standin/wait", params=query, timeout=timeout + 10)
        if response.status_code == httpx.codes.REQUEST_TIMEOUT:
            raise TimeoutError(response.json()["why"])
        return _read(response)

    async def wait_update(
        self,
        job: str,
        *,
        state: str | None = None,
        status: str | None = None,
        since: int = 0,
        timeout: float = 30,
    ) -> Json:
        """The update of a job with this state and (part of a) text, as soon as Core has accepted it."""
        record = await self.wait(
            "control/update", job=job, state=state, status=status, since=since, timeout=timeout
        )
        return dict(record["item"]["update"])

    async def registered(self, slurm_id: int | str) -> list[Json]:
        """Core's rows of jobs that the provider has registered for a Slurm job."""
        headers = {"Authorization": f"Bearer {await self.provider_token()}"}
        query = {"itemsPerPage": "250", "filterApplication": "unknown"}
        page = _read(await self._http.get("/api/jobs/control/browse", params=query, headers=headers))
        return [row for row in page["items"] if f"/{slurm_id}/" in row.get("providerGeneratedId", "")]

    async def job(self, job_id: str) -> Json:
        """Core's row of a job."""
        return await self._door("GET", "job", params={"id": job_id})

    async def violations(self) -> list[Json]:
        """Breaches of the protocol `{time, what, where, detail}`; a test asserts that there are none."""
        return list((await self._door("GET", "violations"))["violations"])

    async def clear_violations(self) -> None:
        """Forget the breaches so far."""
        await self._door("DELETE", "violations")

    async def charges(self) -> list[Json]:
        """The charges taken, in order."""
        return list((await self._door("GET", "charges"))["charges"])

    async def usage(self) -> list[Json]:
        """The last total reported in each scope: `{owner, category, scope, usage}`, owner as `user:alice`."""
        return list((await self._door("GET", "usage"))["usage"])

    async def connections(self) -> list[str]:
        """The users for whom the provider has approved a connection."""
        return list((await self._door("GET", "connections"))["users"])

    async def products_v2(self) -> list[Json]:
        """The products as today's Core shows them to anybody."""
        response = await self._http.get("/api/products/v2/browse", params={"itemsPerPage": 250})
        return list(_read(response)["items"])

    # What Core is to be

    async def add_jobs(self, *jobs: Json) -> None:
        """Rows of jobs `{id, owner?, specification?, status?}` that the provider is told nothing about."""
        await self._door("POST", "jobs", json={"items": list(jobs)})

    async def add_application(self, application: Json) -> None:
        """One more application."""
        await self._door("POST", "applications", json=application)

    async def add_product(self, product: Json) -> None:
        """One more product."""
        await self._door("POST", "products", json=product)

    async def set_wallet(
        self, category: str, balance: int, *, user: str | None = None, project: str | None = None
    ) -> None:
        """Give an owner exactly so many credits for a category."""
        body = {"user": user, "project": project, "category": category, "balance": balance}
        await self._door("PUT", "wallets", json=body)

    async def wallet(self, category: str, *, user: str | None = None, project: str | None = None) -> Json:
        """`{balance, charged}` of an owner for a category."""
        query = _query(category=category, user=user, project=project)
        return await self._door("GET", "wallets", params=query)

    async def behave(self, **behaviour: Any) -> None:
        """Set down, delay_seconds, doubled_slashes, restart_after_seconds, fail_next, forget, next_ids
        or provider_url.
        """
        await self._door("PUT", "behaviour", json=behaviour)

    async def set_ssh_keys(self, user: str, *keys: str) -> list[Json]:
        """Give a user exactly these public keys; gives them as Core shows them. The provider is not told."""
        body = {"user": user, "keys": list(keys)}
        return list((await self._door("PUT", "ssh-keys", json=body))["keys"])

    async def revoke_files(self, user: str, path: str) -> list[str]:
        """Take the files below a UCloud path from a user; gives the ids of the jobs that Core ends for it."""
        return list((await self._door("POST", "revoke", json={"user": user, "path": path}))["ended"])

    async def restart(self, job_id: str) -> None:
        """Create an ended job again under its id, as Core does for one with restartOnExit."""
        await self._door("POST", "restart", json={"id": job_id})

    async def core_token(self) -> str:
        """A token that the provider must accept."""
        return await self._text("GET", "token/core")

    async def provider_token(self) -> str:
        """The provider's own access token, to call Core in its place."""
        return await self._text("GET", "token/provider")

    async def sign(
        self, claims: Json | None = None, *, algorithm: str = "RS256", key: str | None = None
    ) -> str:
        """A token with these claims over the usual ones (None removes one), perhaps a bad one."""
        body = {"claims": claims or {}, "algorithm": algorithm, "key": key}
        return await self._text("POST", "token/sign", json=body)

    async def _door(self, method: str, path: str, **request: Any) -> Json:
        return _read(await self._http.request(method, f"/standin/{path}", **request))

    async def _text(self, method: str, path: str, **request: Any) -> str:
        return (await self._http.request(method, f"/standin/{path}", **request)).raise_for_status().text


@asynccontextmanager
async def running_core(
    state_dir: Path,
    *,
    provider_url: str = "http://127.0.0.1:8889",
    provider_id: str = "example",
    era: str = "seeds",
    listen: str = "127.0.0.1:0",
) -> AsyncIterator[CoreStandin]:
    """Start the program, wait until it listens, and end it afterwards.

    Port 0 takes a free port. `state_dir/provider.pub` and `state_dir/refresh-token` are there from then on;
    `behave(provider_url=...)` tells the stand-in later where the provider is.
    """
    command = [sys.executable, "-m", "tests.support.core_standin", "--listen", listen]
    command += ["--provider-url", provider_url, "--provider-id", provider_id]
    command += ["--state-dir", str(state_dir), "--era", era]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        async with CoreStandin(await _ready_url(process)) as core:
            yield core
    finally:
        await _end(process)


async def _ready_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    if not line.startswith(READY):
        raise RuntimeError(f"the stand-in for Core did not start: {line!r}")
    return line.removeprefix(READY)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        process.kill()
        await process.wait()


def _query(**values: Any) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None}


def _read(response: httpx.Response) -> Json:
    if response.is_error:
        message = f"{response.status_code} for {response.request.url}: {response.text[:500]}"
        raise httpx.HTTPStatusError(message, request=response.request, response=response)
    return dict(response.json())
