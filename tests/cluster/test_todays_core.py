"""What is told to today's Core, on the real cluster: usage, products, lost jobs, outside jobs."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

PRICE = 3
SETTINGS = Settings(
    era="today",
    core="register_products = true\ntimeout_seconds = 3",
    cluster="register_outside_jobs = true",
    products=f"""
[core.orphans]
pause_seconds = 0.5
minimum_age_seconds = 0

[categories.c1]
unit = "Core"
unit_plural = "Cores"

[[products]]
category = "c1"
id = "c1-1"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
price = {PRICE}
description = "One core"
""",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def today() -> AsyncIterator[Stack]:
    """A provider of today's Core that registers its products and outside jobs.

    At the end the strict stand-in must have seen no breach of the protocol.
    """
    async with running_stack(fresh_folder("today"), SETTINGS) as stack:
        await stack.core.wait("products/v2")
        yield stack
        assert await stack.core.violations() == []


async def create(stack: Stack, script: str, *, user: str = "alice", replicas: int = 1) -> str:
    """Submit a job as a user of the portal; gives its id once it runs."""
    specification = {
        "application": {"name": "shell-script", "version": "1.0.0"},
        "product": {"id": "c1-1", "category": "c1", "provider": "example"},
        "replicas": replicas,
        "parameters": {"script": {"type": "text", "value": script}},
        "timeAllocation": {"hours": 0, "minutes": 10, "seconds": 0},
    }
    [job_id] = await stack.core.create_as_user(user, specification)
    await stack.core.wait_update(job_id, state="RUNNING")
    return job_id


async def total(stack: Stack, job_id: str, wanted: int) -> None:
    """Wait until Core has been told this total of a job."""
    seq = 0
    while True:
        call = await stack.core.wait("v2/reportUsage", since=seq, timeout=60)
        seq = call["seq"]
        if (f"example-{job_id}", wanted) in [(_scope(item), item["usage"]) for item in call["body"]["items"]]:
            return


def _scope(item: Any) -> str:
    return str(item["description"]["scope"])


async def used(slurm: Slurm, stack: Stack, job_id: str) -> int:
    """The seconds that Slurm says an ended job has used."""
    records = await slurm.settled(str(stack.overview(job_id)["slurm_id"]))
    return sum(int(record["ElapsedRaw"]) for record in records)


async def submit_outside(slurm: Slurm, user: str = "bob") -> str:
    """Submit a job without UCloud; gives its Slurm id."""
    line = ("sbatch", "--parsable", "--account=users", "--partition=main", "--mem=100M", "--time=10")
    return slurm.run(*line, "--job-name=train", "--output=/dev/null", "--wrap=sleep 600", user=user).strip()


async def test_products_are_registered_at_the_start(today: Stack) -> None:
    [product] = [p for p in await today.core.products_v2() if p["category"]["name"] == "c1"]
    assert (product["name"], product["price"], product["description"]) == ("c1-1", PRICE, "One core")
    assert product["category"]["accountingUnit"]["namePlural"] == "Cores"


async def test_usage_is_reported_as_a_total_and_equals_slurms_accounting(today: Stack, slurm: Slurm) -> None:
    job_id = await create(today, "sleep 600", replicas=2)
    await total(today, job_id, 0)
    await slurm.running_in_accounting(job_id)
    slurm.backdate(today.overview(job_id)["slurm_id"], 900)
    await total(today, job_id, 15 * 2 * PRICE)
    await today.core.terminate_as_user("alice", job_id)
    await today.core.wait_update(job_id, state="SUCCESS")
    minutes = -(-await used(slurm, today, job_id) // 60)
    [told] = [usage for usage in await today.core.usage() if usage["scope"] == f"example-{job_id}"]
    assert told == {
        "owner": "user:alice",
        "category": "c1",
        "scope": f"example-{job_id}",
        "usage": minutes * 2 * PRICE,
    }
    assert minutes > 15


async def test_a_job_over_its_quota_is_ended(today: Stack, slurm: Slurm) -> None:
    job_id = await create(today, "sleep 600", user="bob")
    await slurm.running_in_accounting(job_id)
    await today.core.set_wallet("c1", 15 * PRICE, user="bob")
    slurm.backdate(today.overview(job_id)["slurm_id"], 900)
    end = await today.core.wait_update(job_id, state="SUCCESS", timeout=60)
    assert end["status"] == "The job was terminated (No credits)"
    await today.core.set_wallet("c1", 10**15, user="bob")


async def test_a_job_that_core_has_lost_is_cancelled(today: Stack, slurm: Slurm) -> None:
    job_id = await create(today, "sleep 600")
    slurm_id = str(today.overview(job_id)["slurm_id"])
    await today.core.behave(forget=[job_id])
    said = asyncio.create_task(today.wait_for_log("facade", "job cancelled: UCloud has denied"))
    await asyncio.sleep(0)  # the log is read from here on
    slurm.run("scontrol", "suspend", slurm_id)  # something to tell Core
    await said
    [record] = await slurm.settled(slurm_id)
    assert record["State"].startswith("CANCELLED")
    async with asyncio.timeout(30):
        while today.overview(job_id)["state"] != "FAILURE":
            await asyncio.sleep(0.1)
    assert today.overview(job_id)["message"] == "UCloud no longer has the job"


async def test_a_job_that_core_had_forgotten_for_a_moment_lives(today: Stack, slurm: Slurm) -> None:
    job_id = await create(today, "sleep 600")
    await today.core.behave(fail_next=[{"path": "control/update", "status": 404, "times": 1}])
    slurm.run("scontrol", "suspend", str(today.overview(job_id)["slurm_id"]))
    await today.core.wait_update(job_id, state="SUSPENDED")
    slurm.run("scontrol", "resume", str(today.overview(job_id)["slurm_id"]))
    await today.core.wait_update(job_id, status="The job continues")
    assert today.overview(job_id)["slurm_state"] == "RUNNING"
    await today.core.terminate_as_user("alice", job_id)
    await today.core.wait_update(job_id, state="SUCCESS")


async def test_an_outside_job_is_registered_tracked_and_ended_by_core(today: Stack, slurm: Slurm) -> None:
    slurm_id = await submit_outside(slurm)
    await today.core.wait("control/register")
    row = await registered(today, slurm_id)
    assert row["owner"]["createdBy"] == "bob"
    assert row["specification"]["name"] == f"train (SlurmID: {slurm_id})"
    assert row["specification"]["timeAllocation"]["minutes"] == 10
    await today.core.wait_update(row["id"], state="RUNNING")
    await today.core.terminate_as_user("bob", row["id"])
    end = await today.core.wait_update(row["id"], state="SUCCESS")
    assert end["status"] == "The job was cancelled by bob"
    assert row["id"] not in str(await today.core.usage())


async def test_a_job_whose_user_means_two_ucloud_users_is_not_registered(today: Stack, slurm: Slurm) -> None:
    ambiguous, clear = await submit_outside(slurm, "alice"), await submit_outside(slurm, "bob")
    await registered(today, clear)
    assert await today.core.registered(ambiguous) == []
    slurm.run("scancel", ambiguous, clear)


async def test_an_outside_job_is_registered_once_though_the_facade_is_killed_while_core_does_it(
    today: Stack, slurm: Slurm
) -> None:
    await today.core.behave(delay_seconds=1.5)
    slurm_id = await submit_outside(slurm)
    await asked_to_register(today, slurm_id)
    await today.facade.kill()
    await today.core.behave(delay_seconds=0)
    await today.facade.start()
    row = await registered(today, slurm_id)
    await today.core.wait_update(row["id"], state="RUNNING", timeout=60)
    assert len(await today.core.registered(slurm_id)) == 1
    slurm.run("scancel", slurm_id)


async def registered(stack: Stack, slurm_id: str) -> Any:
    """Core's row of an outside job, once there is one."""
    async with asyncio.timeout(60):
        while not (rows := await stack.core.registered(slurm_id)):
            await asyncio.sleep(0.1)
    return rows[0]


async def asked_to_register(stack: Stack, slurm_id: str) -> None:
    """Wait until the intent to register a job is on disk: Core is asked then, and takes its time."""
    async with asyncio.timeout(60):
        with closing(sqlite3.connect(f"file:{stack.jobmap_path}?mode=ro", uri=True)) as db:
            statement = "SELECT asked_at FROM outside_jobs WHERE slurm_id = ? AND asked_at IS NOT NULL"
            while db.execute(statement, [int(slurm_id)]).fetchone() is None:
                await asyncio.sleep(0.01)
