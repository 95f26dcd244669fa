"""The stand-in for Core and public links: what its users may do, and how strict each era is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.responses import JSONResponse

from tests.support.fake_provider import FakeProvider, serving
from tests.support.jobs import seed
from tests.support.standin import CoreStandin, running_core

DOMAIN = "app-my-application.provider.example.com"
READY = {"state": "READY", "status": "ready"}


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> FakeProvider:
    return FakeProvider()


@pytest_asyncio.fixture(loop_scope="session", params=["seeds", "today"])
async def core(
    provider: FakeProvider, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[CoreStandin]:
    async with serving(provider) as url, running_core(tmp_path, provider_url=url, era=request.param) as core:
        yield core


@pytest_asyncio.fixture(loop_scope="session")
async def seeds(provider: FakeProvider, tmp_path: Path) -> AsyncIterator[CoreStandin]:
    async with serving(provider) as url, running_core(tmp_path, provider_url=url) as core:
        yield core


async def tell(core: CoreStandin, link_id: str, update: dict[str, Any]) -> httpx.Response:
    """Send an update of a link as the provider would."""
    headers = {"Authorization": f"Bearer {await core.provider_token()}"}
    body = {"items": [{"id": link_id, "update": update}]}
    async with httpx.AsyncClient(base_url=core.url, trust_env=False) as client:
        return await client.post("/api/ingresses/control/update", json=body, headers=headers)


async def ready_link(core: CoreStandin, user: str = "user", domain: str = DOMAIN) -> str:
    link_id = await core.create_link_as_user(user, domain)
    assert (await tell(core, link_id, READY)).json() == {}
    return link_id


def asking_for(link_id: str) -> dict[str, Any]:
    """The document's job with this link, on a machine that the fake provider supports."""
    specification: dict[str, Any] = seed("public-link.create.request")["items"][0]
    specification["product"] |= {"id": "example-compute-1", "category": "example-compute"}
    specification["resources"][0]["id"] = link_id
    return specification


async def test_a_link_is_sent_to_the_provider_and_shown_to_its_user(
    core: CoreStandin, provider: FakeProvider
) -> None:
    link_id = await ready_link(core)
    body = next(body for operation, _, body in provider.calls if operation == "ingresses")
    [sent] = json.loads(body)["items"]
    assert (sent["id"], sent["specification"]["domain"]) == (link_id, DOMAIN)
    shown = await core.link_as_user("user", link_id)
    assert (shown["status"]["state"], shown["status"]["boundTo"]) == ("READY", [])
    page = await core.as_user("user", "GET", "/api/ingresses/browse")
    assert [link["id"] for link in page["items"]] == [link_id]
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await core.link_as_user("alice", link_id)
    assert await core.violations() == []


async def test_the_products_of_links_come_with_their_domains(core: CoreStandin) -> None:
    reply = await core.as_user("user", "GET", "/api/ingresses/retrieveProducts")
    [product] = reply["productsByProvider"]["example"]
    assert product["support"]["domainSuffix"] == ".provider.example.com"


async def test_a_link_is_bound_to_the_jobs_that_hold_it(core: CoreStandin) -> None:
    link_id = await ready_link(core)
    [job_id] = await core.create_as_user("user", asking_for(link_id))
    assert (await core.link_as_user("user", link_id))["status"]["boundTo"] == [job_id]
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await core.create_as_user("alice", asking_for(link_id))


async def test_a_link_that_the_provider_refuses_is_gone(core: CoreStandin, provider: FakeProvider) -> None:
    provider.prepared.append(JSONResponse({"why": "it is taken", "errorCode": None}, 409))
    with pytest.raises(httpx.HTTPStatusError, match=r"409.*it is taken"):
        await core.create_link_as_user("user", DOMAIN)
    assert (await core.as_user("user", "GET", "/api/ingresses/browse"))["items"] == []


async def test_a_link_is_deleted_when_the_provider_agrees(core: CoreStandin, provider: FakeProvider) -> None:
    link_id = await ready_link(core)
    provider.prepared.append(JSONResponse({"why": "it is in use", "errorCode": None}, 400))
    with pytest.raises(httpx.HTTPStatusError, match=r"400.*it is in use"):
        await core.delete_link_as_user("user", link_id)
    await core.delete_link_as_user("user", link_id)
    assert (await tell(core, link_id, READY)).status_code == 404


async def test_the_seeds_core_lets_one_job_have_a_link_at_a_time(seeds: CoreStandin) -> None:
    link_id = await ready_link(seeds)
    await seeds.create_as_user("user", asking_for(link_id))
    with pytest.raises(httpx.HTTPStatusError, match="Not all resources are ready"):
        await seeds.create_as_user("user", asking_for(link_id))


async def test_a_link_of_the_seeds_era_waits_until_the_provider_says_that_it_is_ready(
    seeds: CoreStandin,
) -> None:
    link_id = await seeds.create_link_as_user("user", DOMAIN)
    with pytest.raises(httpx.HTTPStatusError, match="Not all resources are ready"):
        await seeds.create_as_user("user", asking_for(link_id))
    assert (await tell(seeds, link_id, {"state": "ACTIVE"})).status_code == 400
    assert (await tell(seeds, link_id, READY | {"timestamp": None})).status_code == 400
    await seeds.clear_violations()
    await tell(seeds, link_id, READY | {"binding": {"kind": "BIND", "job": "1"}})
    [violation] = await seeds.violations()
    assert "would count twice" in violation["what"]


@pytest.mark.parametrize("domain", ["my-application.provider.example.com", "app-abc.provider.example.com"])
async def test_the_seeds_core_leaves_domains_to_the_provider(seeds: CoreStandin, domain: str) -> None:
    await seeds.create_link_as_user("user", domain)


@pytest.mark.parametrize(
    "domain",
    [
        "my-application.provider.example.com",
        "app-abc.provider.example.com",
        "app-1234.provider.example.com",
        "app-my.application.provider.example.com",
    ],
)
async def test_todays_core_checks_domains_itself(provider: FakeProvider, tmp_path: Path, domain: str) -> None:
    async with serving(provider) as url, running_core(tmp_path, provider_url=url, era="today") as core:
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            await core.create_link_as_user("user", domain)
        await core.create_link_as_user("user", DOMAIN.upper().replace("APP-", "App-"))
        with pytest.raises(httpx.HTTPStatusError, match="not unique"):
            await core.create_link_as_user("user", DOMAIN)
