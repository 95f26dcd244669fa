"""The stand-in for today's Core: what its provider tells it."""

import copy
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.fake_provider import FakeProvider, serving
from tests.support.standin import CoreStandin, running_core

PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}
REGISTERED: dict[str, Any] = {
    "type": "compute",
    "productType": "COMPUTE",
    "name": "u1-4",
    "description": "4 vCPU",
    "price": 4,
    "category": {
        "name": "u1",
        "provider": "example",
        "productType": "COMPUTE",
        "accountingUnit": {
            "name": "Core",
            "namePlural": "Cores",
            "floatingPoint": False,
            "displayFrequencySuffix": True,
        },
        "accountingFrequency": "PERIODIC_MINUTE",
        "freeToUse": False,
        "allowSubAllocations": True,
    },
    "cpu": 4,
    "memoryInGigs": 16,
    "fraction": {"numerator": 1, "denominator": 1},
}
_numbers = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CoreStandin]:
    async with running_core(tmp_path_factory.mktemp("core"), era="today") as core:
        yield core


@pytest_asyncio.fixture(loop_scope="session")
async def core(shared_core: CoreStandin) -> CoreStandin:
    await shared_core.clear_violations()
    return shared_core


async def call(core: CoreStandin, path: str, body: Any) -> httpx.Response:
    """Call Core as the provider."""
    token = await core.provider_token()
    async with httpx.AsyncClient(base_url=core.url, trust_env=False) as client:
        return await client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})


async def new_owner(core: CoreStandin) -> str:
    """A user who is known because of a job."""
    user = f"user-{next(_numbers)}"
    await core.add_jobs(
        {"id": f"of-{user}", "owner": {"createdBy": user}, "specification": {"product": PRODUCT}}
    )
    return user


def usage(user: str, total: int, **changes: Any) -> dict[str, Any]:
    item = {
        "isDeltaCharge": False,
        "owner": {"type": "user", "username": user, "projectId": ""},
        "categoryIdV2": {"name": "example-compute", "provider": "example"},
        "usage": total,
        "description": {"scope": f"of-{user}", "description": None},
    }
    return {"items": [item | changes]}


async def report(core: CoreStandin, body: Any) -> Any:
    reply = await call(core, "/api/accounting/v2/reportUsage", body)
    return reply.json()["responses"] if reply.is_success else reply.status_code


async def test_the_total_of_a_scope_counts_once(core: CoreStandin) -> None:
    user = await new_owner(core)
    for total in (15, 15, 20):
        assert await report(core, usage(user, total)) == [True]
    assert (await core.wallet("example-compute", user=user))["charged"] == 20
    assert await report(core, usage(user, 5, isDeltaCharge=True)) == [True]
    assert {"owner": f"user:{user}", "category": "example-compute", "scope": f"of-{user}", "usage": 25} in (
        await core.usage()
    )
    assert await core.violations() == []
    await report(core, usage(user, 1))
    assert len(await core.violations()) == 1


async def test_a_report_says_whether_the_wallet_is_open(core: CoreStandin) -> None:
    user = await new_owner(core)
    await core.set_wallet("example-compute", 20, user=user)
    assert await report(core, usage(user, 19)) == [True]
    assert await report(core, usage(user, 20)) == [False]
    assert await report(core, usage(user, 20)) == [False]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"usage": -1}, 403),
        ({"usage": 1.5}, 400),
        ({"usage": None}, 400),
        ({"isDeltaCharge": None}, 400),
        ({"owner": {"type": "user", "username": "nobody", "projectId": ""}}, 403),
        ({"owner": {"type": "group"}}, 400),
        ({"categoryIdV2": {"name": "nothing", "provider": "example"}}, 403),
        ({"categoryIdV2": {"name": "example-compute", "provider": "other"}}, 403),
    ],
)
async def test_one_bad_report_fails_the_call(core: CoreStandin, changes: Any, status: int) -> None:
    user = await new_owner(core)
    body = usage(user, 15)
    body["items"] += usage(user, 20, **changes)["items"]
    assert await report(core, body) == status
    assert (await core.wallet("example-compute", user=user))["charged"] == 0


async def test_what_is_free_is_not_recorded(core: CoreStandin) -> None:
    user = await new_owner(core)
    free = copy.deepcopy(REGISTERED)
    free["category"] |= {"name": "free", "freeToUse": True}
    assert (await call(core, "/api/products/v2", {"items": [free]})).json() == {}
    body = usage(user, 15, categoryIdV2={"name": "free", "provider": "example"})
    assert await report(core, body) == [True]
    assert user not in str(await core.usage())


async def test_charge_credits_is_a_breach_today(core: CoreStandin) -> None:
    user = await new_owner(core)
    charge = {"id": f"of-{user}", "chargeId": "a", "units": 1, "periods": 1}
    reply = await call(core, "/api/jobs/control/checkCredits", {"items": [charge]})
    assert (reply.status_code, await core.violations()) == (200, [])
    await call(core, "/api/jobs/control/chargeCredits", {"items": [charge]})
    assert len(await core.violations()) == 1


async def test_what_is_paid_for_never_changes(core: CoreStandin) -> None:
    assert (await call(core, "/api/products/v2", {"items": [REGISTERED]})).json() == {}
    assert (await call(core, "/api/products/v2", {"items": [REGISTERED | {"price": 5}]})).status_code == 200
    [shown] = [p for p in await core.products_v2() if p["category"]["name"] == "u1"]
    assert shown["price"] == 5
    for key, value in (("accountingFrequency", "PERIODIC_HOUR"), ("freeToUse", True), ("accountingUnit", {})):
        changed = copy.deepcopy(REGISTERED)
        changed["category"][key] = value
        reply = await call(core, "/api/products/v2", {"items": [changed]})
        assert (reply.status_code, key in reply.json()["why"]) == (400, True)
    foreign = copy.deepcopy(REGISTERED)
    foreign["category"]["provider"] = "other"
    assert (await call(core, "/api/products/v2", {"items": [foreign]})).status_code == 403


def foreign_job(**changes: Any) -> dict[str, Any]:
    specification = {
        "application": {"name": "unknown", "version": "unknown"},
        "product": PRODUCT,
        "name": "train (SlurmID: 77)",
        "replicas": 2,
    }
    item = {"spec": specification, "providerGeneratedId": f"hpc/{next(_numbers)}", "createdBy": "alice"}
    return item | changes


async def test_a_registered_job_waits_and_can_be_found_by_the_providers_id(core: CoreStandin) -> None:
    item = foreign_job()
    reply = await call(core, "/api/jobs/control/register", {"items": [item]})
    [registered] = reply.json()["responses"]
    row = await core.job(registered["id"])
    assert (row["status"]["state"], row["owner"]["createdBy"]) == ("IN_QUEUE", "alice")
    assert row["providerGeneratedId"] == item["providerGeneratedId"]
    await call(core, "/api/jobs/control/register", {"items": [item]})
    assert [v["what"] for v in await core.violations()] == ["a job was registered twice"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"spec": {"product": PRODUCT | {"provider": "other"}}}, 403),
        ({"spec": {"product": PRODUCT, "name": "a/b"}}, 400),
        ({"projectAllRead": True}, 400),
        ({"spec": None}, 400),
    ],
)
async def test_what_core_does_not_register(core: CoreStandin, changes: Any, status: int) -> None:
    reply = await call(core, "/api/jobs/control/register", {"items": [foreign_job(**changes)]})
    assert reply.status_code == status


async def test_core_says_which_jobs_exist(core: CoreStandin) -> None:
    user = await new_owner(core)
    items = [{"type": "job", "id": f"of-{user}"}, {"type": "job", "id": "gone"}]
    path = "/api/providers/resources/checkExistence"
    assert (await call(core, path, {"items": items})).json() == {"responses": [True, False]}
    assert (await call(core, path, {"items": items * 501})).status_code == 400


async def test_labels_and_keys_of_a_job(core: CoreStandin) -> None:
    user = await new_owner(core)
    labels = {"items": [{"id": f"of-{user}", "labels": {"team": "blue"}}]}
    assert (await call(core, "/api/jobs/control/updateLabels", labels)).json() == {}
    assert (await core.job(f"of-{user}"))["specification"]["labels"] == {"team": "blue"}
    [key] = await core.set_ssh_keys(user, "ssh-ed25519 AAAA")
    reply = await call(core, "/api/jobs/control/browseSshKeys", {"jobId": f"of-{user}", "owner": True})
    assert reply.json()["items"] == [key]


async def test_connections_are_kept(core: CoreStandin) -> None:
    path = "/api/providers/integration/control"
    await call(core, f"{path}/approveConnection", {"username": "carol"})
    assert "carol" in await core.connections()
    await call(core, f"{path}/clearConnection", {"username": "carol"})
    assert "carol" not in await core.connections()


async def test_the_acl_is_cores_own_today(tmp_path: Path) -> None:
    fake = FakeProvider()
    async with serving(fake) as url, running_core(tmp_path, provider_url=url, era="today") as core:
        await core.add_jobs({"id": "mine", "owner": {"createdBy": "user"}})
        bob = {"type": "user", "username": "bob"}
        await core.update_acl_as_user("user", "mine", add=[{"entity": bob, "permissions": ["READ"]}])
        assert (await core.retrieve_as_user("bob", "mine"))["id"] == "mine"
        assert fake.operations() == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/accounting/v2/reportUsage",
        "/api/products/v2",
        "/api/jobs/control/register",
        "/api/jobs/control/updateLabels",
        "/api/providers/resources/checkExistence",
    ],
)
async def test_the_seeds_core_has_none_of_it(tmp_path: Path, path: str) -> None:
    async with running_core(tmp_path) as core:
        assert (await call(core, path, {"items": []})).status_code == 404
