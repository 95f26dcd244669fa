"""The stand-in for Core towards its users: what the examples of the seed documents need."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.fake_provider import FakeProvider, serving
from tests.support.jobs import seed
from tests.support.standin import CoreStandin, running_core


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> FakeProvider:
    return FakeProvider()


@pytest_asyncio.fixture(loop_scope="session")
async def core(provider: FakeProvider, tmp_path: Path) -> AsyncIterator[CoreStandin]:
    async with serving(provider) as url, running_core(tmp_path, provider_url=url) as core:
        yield core
        assert await core.violations() == []


def example(name: str) -> dict[str, Any]:
    """A specification of document 002, on a machine that the fake provider supports."""
    specification: dict[str, Any] = seed(name)["items"][0]
    specification["product"]["id"] = "example-compute-1"
    return specification


async def running(core: CoreStandin, name: str, job_id: str, user: str = "user") -> str:
    await core.behave(next_ids=[job_id])
    assert await core.create_as_user(user, example(name)) == [job_id]
    await tell(core, job_id, state="RUNNING", status="Your job is now running!")
    return job_id


async def tell(core: CoreStandin, job_id: str, **update: Any) -> None:
    """Send an update as the provider would."""
    token = await core.provider_token()
    body = {"items": [{"id": job_id, "update": {"timestamp": 0} | update}]}
    async with httpx.AsyncClient(base_url=core.url, trust_env=False) as client:
        headers = {"Authorization": f"Bearer {token}"}
        (await client.post("/api/jobs/control/update", json=body, headers=headers)).raise_for_status()


def last_call(provider: FakeProvider, operation: str) -> dict[str, Any]:
    """The first item of the last call of an operation."""
    body = next(body for name, _, body in reversed(provider.calls) if name == operation)
    return dict(json.loads(body)["items"][0])


async def test_a_running_job_of_the_user_can_be_a_peer(core: CoreStandin, provider: FakeProvider) -> None:
    await running(core, "peers.create-1.request", "4101")
    await core.create_as_user("user", example("peers.create-2.request"))
    [peer] = last_call(provider, "jobs")["specification"]["resources"]
    assert peer == {"type": "peer", "hostname": "database", "jobId": "4101"}


async def test_a_peer_of_somebody_else_or_one_that_waits_is_refused(core: CoreStandin) -> None:
    await running(core, "peers.create-1.request", "4101", user="alice")
    with pytest.raises(httpx.HTTPStatusError, match=r"403.*You do not have permission"):
        await core.create_as_user("user", example("peers.create-2.request"))
    await tell(core, "4101", state="SUCCESS")
    with pytest.raises(httpx.HTTPStatusError, match=r"400.*not running"):
        await core.create_as_user("alice", example("peers.create-2.request"))


async def test_only_an_activated_licence_of_the_user_can_be_used(
    core: CoreStandin, provider: FakeProvider
) -> None:
    await core.behave(next_ids=["56231"])
    assert await core.activate_licence("user") == "56231"
    await core.create_as_user("user", example("licence.create.request"))
    assert last_call(provider, "jobs")["specification"]["parameters"]["license"]["id"] == "56231"
    with pytest.raises(httpx.HTTPStatusError, match=r"404.*56231"):
        await core.create_as_user("bob", example("licence.create.request"))


async def test_losing_files_ends_the_jobs_that_use_them(core: CoreStandin, provider: FakeProvider) -> None:
    await running(core, "lost-access.create.request", "62348")
    other = await running(core, "peers.create-1.request", "4101")
    assert await core.revoke_files("user", "/12512") == ["62348"]
    assert last_call(provider, "jobs/terminate")["id"] == "62348"
    updates = (await core.retrieve_as_user("user", "62348"))["updates"]
    assert updates[0].keys() == seed("lost-access.job")["updates"][0].keys()
    assert [(u["state"], u["status"]) for u in updates] == [
        (u["state"], u["status"]) for u in seed("lost-access.job")["updates"]
    ]
    assert (await core.job(other))["status"]["state"] == "RUNNING"
    with pytest.raises(httpx.HTTPStatusError, match=r"404"):
        await core.create_as_user("user", example("lost-access.create.request"))


async def test_a_user_sees_what_is_left_in_the_wallet(core: CoreStandin) -> None:
    await core.set_wallet("example-compute", 500, user="user")
    [wallet] = (await core.as_user("user", "GET", "/api/accounting/wallets/browse?"))["items"]
    assert (wallet["paysFor"]["name"], wallet["unit"]) == ("example-compute", "CREDITS_PER_MINUTE")
    assert wallet["owner"] == {"type": "user", "username": "user"}
    assert wallet["allocations"][0]["balance"] == 500


async def test_extending_needs_the_machines_support(core: CoreStandin, provider: FakeProvider) -> None:
    job_id = await running(core, "extend.create.request", "62348")
    await core.extend_as_user("user", job_id, hours=1)
    assert last_call(provider, "jobs/extend")["requestedTime"] == {"hours": 1, "minutes": 0, "seconds": 0}
    for support in provider.support["responses"]:
        support["docker"]["timeExtension"] = False
    await core.as_user("user", "GET", "/api/jobs/retrieveProducts")
    [other] = await core.create_as_user("user", example("extend.create.request"))
    with pytest.raises(httpx.HTTPStatusError, match=r"400.*timeExtension"):
        await core.extend_as_user("user", other, hours=1)


async def test_pauses_reach_the_provider(core: CoreStandin, provider: FakeProvider) -> None:
    job_id = await running(core, "extend.create.request", "62348")
    await core.suspend_as_user("user", job_id)
    assert last_call(provider, "jobs/suspend")["job"]["id"] == job_id
    await core.unsuspend_as_user("user", job_id)
    assert last_call(provider, "jobs/unsuspend")["job"]["id"] == job_id


async def test_others_see_a_job_while_its_acl_names_them(core: CoreStandin, provider: FakeProvider) -> None:
    job_id = await running(core, "extend.create.request", "62348")
    bob = {"type": "user", "username": "bob"}
    with pytest.raises(httpx.HTTPStatusError, match=r"404"):
        await core.retrieve_as_user("bob", job_id)
    await core.update_acl_as_user("user", job_id, add=[{"entity": bob, "permissions": ["READ"]}])
    assert last_call(provider, "jobs/updateAcl")["added"] == [{"entity": bob, "permissions": ["READ"]}]
    assert (await core.retrieve_as_user("bob", job_id))["id"] == job_id
    with pytest.raises(httpx.HTTPStatusError, match=r"404"):
        await core.terminate_as_user("bob", job_id)
    await core.update_acl_as_user("user", job_id, delete=[bob])
    with pytest.raises(httpx.HTTPStatusError, match=r"404"):
        await core.retrieve_as_user("bob", job_id)


async def test_a_job_with_restart_on_exit_is_created_again(core: CoreStandin, provider: FakeProvider) -> None:
    await core.behave(restart_after_seconds=0)
    again = example("extend.create.request") | {"restartOnExit": True}
    [job_id] = await core.create_as_user("user", again)
    await tell(core, job_id, state="RUNNING")
    await tell(core, job_id, state="SUCCESS")
    await provider.wait_for("jobs", calls=2)
    assert last_call(provider, "jobs")["id"] == job_id
    assert (await core.job(job_id))["status"]["state"] == "IN_QUEUE"


async def test_a_job_that_its_user_ended_is_not_restarted(core: CoreStandin, provider: FakeProvider) -> None:
    await core.behave(restart_after_seconds=0)
    again = example("extend.create.request") | {"restartOnExit": True}
    [job_id] = await core.create_as_user("user", again)
    await core.terminate_as_user("user", job_id)
    await tell(core, job_id, state="SUCCESS")
    [other] = await core.create_as_user("user", again)
    await tell(core, other, state="SUCCESS")
    await provider.wait_for("jobs", calls=3)
    assert last_call(provider, "jobs")["id"] == other
    assert (await core.job(job_id))["status"]["state"] == "SUCCESS"


async def test_a_test_may_restart_a_job_itself(core: CoreStandin, provider: FakeProvider) -> None:
    job_id = await running(core, "extend.create.request", "62348")
    with pytest.raises(httpx.HTTPStatusError, match=r"400.*has not ended"):
        await core.restart(job_id)
    await tell(core, job_id, state="EXPIRED")
    await core.restart(job_id)
    assert (last_call(provider, "jobs")["id"], provider.operations().count("jobs")) == (job_id, 2)
