"""Jobs are checked side by side, whatever one user's cost."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from slurm_provider.core import CoreClient
from slurm_provider.jobmap import Door, JobMap, UserMapping
from slurm_provider.launch.plan import Plan, plan
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.tracker import intake
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.intake import PLANS_OF_A_USER, Intake
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.links import JobLinks
from slurm_provider.ucloud.jobs import Job
from tests.support.jobs import job
from tests.unit.builders import facade_config

THREADS = 4


@pytest.fixture
async def checks(tmp_path: Path) -> AsyncIterator[Intake]:
    """An intake with two users, on a few threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    config = facade_config(tmp_path)
    door = await Door.open(tmp_path / "jobs.db", lambda: 10_000)
    for user in ("user", "other"):
        await door.call(JobMap.map_user, UserMapping(user, f"local-{user}", "users"))
    limits = LimitCache(cast(Cluster, SimpleNamespace(name="hpc")), door, 60)
    async with CoreClient(config.core) as core:
        links = JobLinks(config, door, core)
        yield Intake(config, door, {"hpc": limits}, Tagger("example", "a token"), links)
    await door.close()


async def test_the_templates_of_one_user_keep_no_other_waiting(
    checks: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    under_way = []

    def slow(made: Job, *others: Any) -> Plan:
        if made.owner and made.owner.createdBy == "user":
            under_way.append(made.id)
            done.wait(30)
        return plan(made, *others)

    monkeypatch.setattr(intake, "plan", slow)
    slow_ones = [
        asyncio.create_task(checks.check(Job.model_validate(job("true")))) for _ in range(2 * THREADS)
    ]
    async with asyncio.timeout(10):
        while len(under_way) < PLANS_OF_A_USER:
            await asyncio.sleep(0.01)
        assert await checks.check(Job.model_validate(job("true", user="other")))
    assert not any(task.done() for task in slow_ones)
    done.set()
    assert all(await asyncio.gather(*slow_ones))
