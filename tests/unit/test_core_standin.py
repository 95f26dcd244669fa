"""The stand-in for Core keeps Core's rules."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from starlette.responses import JSONResponse, Response

from tests.support.fake_provider import FakeProvider, serving
from tests.support.standin import CoreStandin, running_core

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}
PRICE = 1_000_000
_numbers = count(1)


def seed(name: str) -> dict[str, Any]:
    return dict(json.loads((SEEDS / name).read_text()))


def script(text: str = "true", **changes: Any) -> dict[str, Any]:
    return {
        "application": {"name": "shell-script", "version": "1.0.0"},
        "product": PRODUCT,
        "replicas": 1,
        "parameters": {"script": {"type": "text", "value": text}},
    } | changes


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_core(state_dir: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(state_dir) as core:
        yield core


@pytest_asyncio.fixture(loop_scope="session")
async def core(shared_core: CoreStandin) -> CoreStandin:
    await shared_core.clear_violations()
    await shared_core.behave(down=False, delay_seconds=0, fail_next=[])
    return shared_core


@pytest_asyncio.fixture(loop_scope="session")
async def provider(core: CoreStandin) -> AsyncIterator[FakeProvider]:
    fake = FakeProvider()
    async with serving(fake) as url:
        await core.behave(provider_url=url)
        yield fake


@pytest_asyncio.fixture(loop_scope="session")
async def control(core: CoreStandin, state_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The control API with the provider's token."""
    async with httpx.AsyncClient(base_url=core.url, trust_env=False) as client:
        token = (state_dir / "refresh-token").read_text().strip()
        reply = await client.post("/auth/providers/refresh", json={"items": [{"refreshToken": token}]})
        client.headers["Authorization"] = f"Bearer {reply.json()['responses'][0]['accessToken']}"
        client.base_url = f"{core.url}/api/jobs/control/"
        yield client


async def new_job(core: CoreStandin, **job: Any) -> str:
    job_id = f"test-{next(_numbers)}"
    specification = {"product": PRODUCT, "timeAllocation": {"hours": 1, "minutes": 0, "seconds": 0}}
    await core.add_jobs({"id": job_id, "specification": specification} | job)
    return job_id


def update_of(job_id: str, **update: Any) -> dict[str, Any]:
    return {"items": [{"id": job_id, "update": {"timestamp": 0} | update}]}


def charge_of(job_id: str, charge_id: str, units: int = 15, periods: int = 1) -> dict[str, Any]:
    return {"items": [{"id": job_id, "chargeId": charge_id, "units": units, "periods": periods}]}


async def test_running_stamps_the_start_and_the_expiry(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core)
    reply = await control.post("update", json=update_of(job, state="RUNNING", status="Now running"))
    assert (reply.status_code, reply.json()) == (200, {})
    assert (await core.wait_update(job, state="RUNNING"))["status"] == "Now running"
    status = (await core.job(job))["status"]
    assert status["expiresAt"] - status["startedAt"] == 3_600_000
    assert (await core.job(job))["updates"][0]["timestamp"] == status["startedAt"]
    await control.post("update", json=update_of(job, newTimeAllocation=7_200_000, outputFolder="/1/out"))
    row = await core.job(job)
    assert row["status"]["expiresAt"] - row["status"]["startedAt"] == 7_200_000
    assert row["output"] == {"outputFolder": "/1/out"}
    assert await core.violations() == []


async def test_one_unknown_id_fails_the_whole_batch(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core)
    items = update_of(job, state="RUNNING")["items"] + update_of("nobody", state="RUNNING")["items"]
    reply = await control.post("update", json={"items": items})
    assert reply.status_code == 404
    assert reply.json()["why"] == "Not found or permission denied (nobody)"
    assert (await core.job(job))["status"]["state"] == "IN_QUEUE"


async def test_a_final_state_absorbs_what_is_not_final(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core)
    for state in ("SUCCESS", "RUNNING", "FAILURE"):
        assert (await control.post("update", json=update_of(job, state=state))).status_code == 200
    row = await core.job(job)
    assert [update["state"] for update in row["updates"]] == ["SUCCESS", "FAILURE"]
    assert [r["applied"] for r in (await core.received("control/update"))[-3:]] == [[True], [False], [True]]


async def test_an_unmet_expectation_changes_nothing(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core)
    await control.post("update", json=update_of(job, state="SUCCESS", expectedState="RUNNING"))
    await control.post("update", json=update_of(job, state="IN_QUEUE", expectedDifferentState=True))
    assert (await core.job(job))["updates"] == []


@pytest.mark.parametrize("timestamp", [None, "0", 0.5, True])
async def test_a_timestamp_is_an_integer(
    core: CoreStandin, control: httpx.AsyncClient, timestamp: object
) -> None:
    reply = await control.post("update", json=update_of(await new_job(core), timestamp=timestamp))
    assert reply.status_code == 400
    assert len(await core.violations()) == 1


async def test_an_unknown_state_is_refused(core: CoreStandin, control: httpx.AsyncClient) -> None:
    assert (
        await control.post("update", json=update_of(await new_job(core), state="DONE"))
    ).status_code == 400


async def test_the_seeds_charges_run_as_printed(core: CoreStandin, control: httpx.AsyncClient) -> None:
    specification = {"product": PRODUCT, "replicas": 23}
    await core.add_jobs(
        {"id": "51231", "specification": {"product": PRODUCT}, "owner": {"createdBy": "rich"}}
    )
    await core.add_jobs({"id": "63489", "specification": specification, "owner": {"createdBy": "poor"}})
    await core.set_wallet("example-compute", 15 * 23 * PRICE, user="poor")
    for number in (1, 2):
        reply = await control.post("chargeCredits", json=seed(f"charge-{number}.request.json"))
        assert reply.json() == seed(f"charge-{number}.response.json")
    assert await core.wallet("example-compute", user="poor") == {"balance": 0, "charged": 15 * 23 * PRICE}
    assert (await core.wallet("example-compute", user="rich"))["charged"] == 30 * PRICE


async def test_a_repeated_charge_is_ignored_and_reported(
    core: CoreStandin, control: httpx.AsyncClient
) -> None:
    owner = {"createdBy": "u", "project": f"project-{uuid4()}"}
    job = await new_job(core, owner=owner)
    first, second = [await control.post("chargeCredits", json=charge_of(job, f"{job}-a")) for _ in range(2)]
    assert first.json() == {"insufficientFunds": [], "duplicateCharges": []}
    assert second.json() == {"insufficientFunds": [], "duplicateCharges": [{"id": job}]}
    assert (await core.wallet("example-compute", project=owner["project"]))["charged"] == 15 * PRICE
    assert await core.violations() == []
    await control.post("chargeCredits", json=charge_of(job, f"{job}-a", units=16))
    assert len(await core.violations()) == 1


async def test_checking_credits_takes_none(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core, owner={"createdBy": "careful"})
    await core.set_wallet("example-compute", 14 * PRICE, user="careful")
    reply = await control.post("checkCredits", json=charge_of(job, "c", units=15))
    assert reply.json()["insufficientFunds"] == [{"id": job}]
    assert (await control.post("checkCredits", json=charge_of(job, "c", 14))).json()[
        "insufficientFunds"
    ] == []
    assert await core.wallet("example-compute", user="careful") == {"balance": 14 * PRICE, "charged": 0}


async def test_only_the_providers_token_opens_the_control_api(
    core: CoreStandin, control: httpx.AsyncClient
) -> None:
    for token in (await core.core_token(), await core.sign({"role": "PROVIDER"}, key="wrong"), "x"):
        reply = await control.get("browse", headers={"Authorization": f"Bearer {token}"})
        assert (reply.status_code, reply.json()["why"]) == (403, "Forbidden")


async def test_core_signs_as_core_does(core: CoreStandin, state_dir: Path) -> None:
    key = load_der_public_key(base64.b64decode((state_dir / "provider.pub").read_text()))
    assert isinstance(key, RSAPublicKey)
    claims = jwt.decode(await core.core_token(), key, ["RS256"], audience="all:write", issuer="cloud.sdu.dk")
    assert (claims["sub"], claims["role"], claims["exp"] - claims["iat"]) == ("_UCloud", "SERVICE", 600)


async def test_create_is_replayed_after_449(core: CoreStandin, provider: FakeProvider) -> None:
    provider.prepared.append(JSONResponse({"why": "not yet", "errorCode": None}, 449))
    provider.prepared.append(JSONResponse({"why": "not yet", "errorCode": None}, 503))
    request = (SEEDS / "create.request.json").read_bytes()
    assert (await core.create(request))["body"] == seed("create.response.json")
    assert provider.operations() == ["jobs", "integration/init"] * 2 + ["jobs"]
    assert [body for operation, _, body in provider.calls if operation == "jobs"] == [request] * 3
    assert provider.calls[1][2] == b'{"username": "user"}'
    headers = provider.calls[0][1]
    assert "content-type" not in headers
    assert base64.b64decode(headers["ucloud-username"]) == b"user"
    assert await core.violations() == []


async def test_a_refused_job_leaves_no_row(core: CoreStandin, provider: FakeProvider) -> None:
    provider.prepared.append(JSONResponse({"why": "No such partition", "errorCode": None}, 400))
    with pytest.raises(httpx.HTTPStatusError, match=r"^400.*No such partition"):
        await core.create_as_user("alice", script())
    assert (await core.as_user("alice", "GET", "/api/jobs/browse"))["items"] == []


@pytest.mark.parametrize("reply", [Response(status_code=200), JSONResponse({"responses": []})])
async def test_a_wrong_reply_is_a_bad_gateway(
    core: CoreStandin, provider: FakeProvider, reply: Response
) -> None:
    provider.prepared.append(reply)
    with pytest.raises(httpx.HTTPStatusError, match=r"^502.*Bad response from provider"):
        await core.create_as_user("alice", script())
    assert len(await core.violations()) == 1


async def test_a_slow_create_is_given_up_after_five_seconds(
    core: CoreStandin, provider: FakeProvider
) -> None:
    provider.create_delay_seconds = 5.5
    started = time.monotonic()
    answer = await core.create({"items": [{"id": "slow", "owner": {"createdBy": "user"}}]})
    assert (answer["status"], answer["error"]) == (0, "timeout")
    assert 4.9 < time.monotonic() - started < 5.5
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await core.job("slow")


async def test_a_users_job_carries_all_that_core_resolves(core: CoreStandin, provider: FakeProvider) -> None:
    ids = await core.create_as_user("alice", script("a"), script("b"), project="p")
    sent = json.loads(provider.calls[-1][2])["items"]
    assert [job["id"] for job in sent] == ids
    assert sent[0].keys() == seed("create.request.json")["items"][0].keys()
    assert sent[0]["status"].keys() == seed("create.request.json")["items"][0]["status"].keys()
    assert sent[0]["owner"] == {"createdBy": "alice", "project": "p"}
    assert sent[0]["status"]["resolvedSupport"]["support"]["docker"]["enabled"] is True
    await core.terminate_as_user("alice", ids[0], project="p")
    assert (provider.calls[-1][0], json.loads(provider.calls[-1][2])["items"][0]["id"]) == (
        "jobs/terminate",
        ids[0],
    )
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        await core.terminate_as_user("bob", ids[1])


@pytest.mark.parametrize(
    "specification",
    [
        script(replicas=0),
        script(parameters={}),
        script(product=PRODUCT | {"id": "nothing"}),
        script(application={"name": "native-script", "version": "1.0.0"}),
        script(application={"name": "nothing", "version": "1.0.0"}),
    ],
)
async def test_core_refuses_before_it_asks_the_provider(
    core: CoreStandin, provider: FakeProvider, specification: dict[str, Any]
) -> None:
    with pytest.raises(httpx.HTTPStatusError, match=r"^40[04]"):
        await core.create_as_user("alice", specification)
    assert "jobs" not in provider.operations()


async def test_played_faults_end_and_may_hide_an_effect(
    core: CoreStandin, control: httpx.AsyncClient
) -> None:
    job = await new_job(core)
    await core.behave(fail_next=[{"path": "control/update", "status": 500, "times": 1, "after": True}])
    assert (await control.post("update", json=update_of(job, state="RUNNING"))).status_code == 500
    assert (await core.job(job))["status"]["state"] == "RUNNING"
    await core.behave(down=True)
    assert (await control.post("update", json=update_of(job, state="SUCCESS"))).status_code == 502
    await core.behave(down=False, forget=[job])
    assert (await control.post("update", json=update_of(job, state="SUCCESS"))).status_code == 404
    assert await core.violations() == []


async def test_waiting_ends_when_the_update_comes(core: CoreStandin, control: httpx.AsyncClient) -> None:
    job = await new_job(core)
    waiting = asyncio.create_task(core.wait_update(job, state="SUCCESS"))
    await control.post("update", json=update_of(job, state="RUNNING"))
    await control.post("update", json=update_of(job, state="SUCCESS", status="Done"))
    assert (await waiting)["status"] == "Done"
    with pytest.raises(TimeoutError):
        await core.wait_update(job, state="FAILURE", timeout=0.01)


async def test_today_sends_one_job_a_call_with_a_hidden_parameter(tmp_path: Path) -> None:
    fake = FakeProvider()
    async with serving(fake) as url, running_core(tmp_path, provider_url=url, era="today") as core:
        ids = await core.create_as_user("alice", script(), script())
        sent = [json.loads(body)["items"] for operation, _, body in fake.calls if operation == "jobs"]
        assert [[job["id"] for job in jobs] for jobs in sent] == [[ids[0]], [ids[1]]]
        assert sent[0][0]["specification"]["parameters"]["ucMetricSampleRate"]["type"] == "text"
        assert sent[0][0]["status"]["resolvedProduct"]["category"]["accountingFrequency"] == "PERIODIC_MINUTE"
        assert "jobs.docker.extension" in sent[0][0]["status"]["resolvedSupport"]["features"]
        assert await core.violations() == []
