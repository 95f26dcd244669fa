"""The five examples of UCloud's ingoing API, with their JSON as it stands."""

import asyncio
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.cluster.test_eras import assert_holds
from tests.support.jobs import DATA, bulk, job, seed
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

FULL_SUPPORT = """
[products.support.docker]
enabled = true
web = true
vnc = true
logs = true
terminal = true
peers = true
timeExtension = true
utilization = true
"""
MINIMAL_VM_SUPPORT = """
[products.support.virtualMachine]
enabled = true
"""


def _products(support: str) -> str:
    return "".join(
        f"""
[[products]]
category = "example-compute"
id = "{name}"
cluster = "hpc"
partition = "main"
{support}
"""
        for name in ("example-compute-1", "example-compute-2")
    )


@pytest.mark.parametrize(
    ("support", "example"),
    [(FULL_SUPPORT, "full-support.response"), (MINIMAL_VM_SUPPORT, "minimal-vm-support.response")],
)
async def test_declared_support_is_the_seeds(support: str, example: str) -> None:
    settings = Settings(products=_products(support))
    async with running_stack(fresh_folder(example), settings) as stack:
        answer = await stack.core.call("jobs/retrieveProducts", method="GET")
    assert answer["status"] == 200
    # Today's keys are there as well; the seeds' Core ignores what it does not know.
    assert_holds(answer["body"], seed(example))


async def test_a_simple_batch_job_with_life_cycle_events(stack: Stack) -> None:
    answer = await stack.core.create((DATA / "seeds/create.request.json").read_bytes())
    assert (answer["status"], answer["body"]) == (200, seed("create.response"))
    await stack.core.wait_update("54112", state="SUCCESS", timeout=30)
    updates = await stack.updates("54112")
    assert [update for update in updates if update["state"]] == [
        seed("create.update-running")["items"][0]["update"],
        seed("create.update-success")["items"][0]["update"],
    ]
    assert stack.output("alice", "54112").splitlines() == [
        "acme-batch was called with 3 arguments:",
        "  --debug",
        "  true",
        "  Hello, World!",
        "rank 0 of 1 on n1, in /work",
    ]


async def test_accounting_until_the_credits_run_out(stack: Stack, slurm: Slurm) -> None:
    await slurm.daemon("start", *(f"n{n}" for n in range(5, 24)))
    rich = job("sleep 600", job_id="51231")
    poor = job("sleep 600", job_id="63489", user="bob", replicas=23, product="wide")
    await stack.core.create(bulk(rich))
    await stack.core.create(bulk(poor))
    await stack.core.wait_update("51231", state="RUNNING", timeout=60)
    await stack.core.wait_update("63489", state="RUNNING", timeout=60)

    await asyncio.gather(*(_use(stack, slurm, job_id, 900) for job_id in ("51231", "63489")))
    first = [await _charge(stack, job_id, 0) for job_id in ("51231", "63489")]
    assert _without_ids(first) == _without_ids(seed("charge-1.request")["items"])

    await stack.core.set_wallet("example-compute", 0, user="bob")
    await asyncio.gather(*(_use(stack, slurm, job_id, 900) for job_id in ("51231", "63489")))
    second = [await _charge(stack, job_id, 1) for job_id in ("51231", "63489")]
    assert _without_ids(second) == _without_ids(seed("charge-2.request")["items"])
    replies = [call["reply"] for call in await stack.core.received("chargeCredits")]
    assert seed("charge-2.response")["insufficientFunds"] in [reply["insufficientFunds"] for reply in replies]

    end = await stack.core.wait_update("63489", state="SUCCESS", timeout=60)
    assert {"id": "63489", "update": end} == seed("charge.update-terminated")["items"][0]
    assert stack.overview("51231")["slurm_state"] == "RUNNING"
    await stack.core.set_wallet("example-compute", 10**15, user="bob")
    await stack.core.call("jobs/terminate", bulk(rich), user="user")
    await stack.core.wait_update("51231", state="SUCCESS", timeout=30)


async def _use(stack: Stack, slurm: Slurm, job_id: str, seconds: int) -> None:
    """Let a running job use up time, once accounting has heard of its start."""
    slurm_id = stack.overview(job_id)["slurm_id"]
    await slurm.running_in_accounting(job_id)
    slurm.backdate(slurm_id, seconds)


async def _charge(stack: Stack, job_id: str, index: int) -> Any:
    """Return the charge of a job with that index, once it has been made."""
    record: Any = {"seq": 0}
    for _ in range(index + 1):
        record = await stack.core.wait("chargeCredits", job=job_id, since=record["seq"], timeout=60)
    return record["item"]


def _without_ids(items: Any) -> Any:
    return [{key: value for key, value in item.items() if key != "chargeId"} for item in items]


async def test_a_job_that_nobody_knows_is_no_longer_available() -> None:
    request = seed("verify.request")
    async with running_stack(fresh_folder("verify")) as stack:
        await stack.core.add_jobs(*request["items"])
        answer = await stack.core.call("jobs/verify", request)
        assert (answer["status"], answer["body"]) == (200, {})
        update = await stack.core.wait_update("54112", state="FAILURE", timeout=30)
    assert {"id": "54112", "update": update} == seed("verify.update")["items"][0]
