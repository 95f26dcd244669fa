"""Core is asked whether running jobs can be paid: each of them, whatever becomes of another, and briefly."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core
from slurm_provider.core import CoreClient
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.tracker.credits import OUT_OF_CREDITS, CreditCheck
from slurm_provider.ucloud.jobs import JobState
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import job

CHECK = "control/checkCredits"
LONGEST_SECONDS = 0.5
PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}
_numbers = count(1)


@dataclass
class Till:
    """An empty job map, and the check of its jobs."""

    core: CoreStandin
    door: Door
    check: CreditCheck
    cancelled: list[bool] = field(default_factory=list)

    async def new_job(self, *, known_to_core: bool = True, **columns: Any) -> str:
        job_id = f"paid-{next(_numbers)}"
        if known_to_core:
            hour = {"hours": 1, "minutes": 0, "seconds": 0}
            specification = {"product": PRODUCT, "timeAllocation": hour}
            owner = {"createdBy": job_id, "project": None}
            await self.core.add_jobs({"id": job_id, "owner": owner, "specification": specification})
        row = job(job_id=job_id, **{"state": JobState.RUNNING, "elapsed_seconds": 60} | columns)
        await self.door.call(JobMap.add_jobs, [(row, JobChange(job_id))])
        return job_id

    async def row(self, job_id: str) -> JobRow:
        row = await self.door.call(JobMap.job, job_id)
        assert row is not None
        return row


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder) as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def till(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Till]:
    await core.behave(down=False, delay_seconds=0, fail_next=[])
    section = Core(
        url=core.url,
        public_key_file=core_folder / "provider.pub",
        refresh_token_file=core_folder / "refresh-token",
    )
    cancelled: list[bool] = []
    door = await Door.open(tmp_path / "jobs.db", lambda: 1000)
    async with CoreClient(section) as client:
        check = CreditCheck("example", door, client, lambda: cancelled.append(True), LONGEST_SECONDS)
        yield Till(core, door, check, cancelled)
    await door.close()


async def test_running_jobs_are_asked_about_once_a_unit_in_one_call(till: Till) -> None:
    since = await till.core.last_seq()
    jobs = [await till.new_job() for _ in range(3)]
    await till.new_job(state=JobState.IN_QUEUE)
    await till.check.run("hpc")
    await till.check.run("hpc")
    [call] = await till.core.received(CHECK, since)
    assert sorted(item["id"] for item in call["body"]["items"]) == sorted(jobs)


async def test_a_job_that_core_does_not_know_does_not_keep_the_others_from_being_asked(till: Till) -> None:
    await till.new_job()
    unknown = await till.new_job(known_to_core=False)
    poor = await till.new_job()
    await till.core.set_wallet("example-compute", 0, user=poor)
    await till.check.run("hpc")
    assert (await till.row(poor)).wished_message == OUT_OF_CREDITS
    assert (await till.row(unknown)).wished_state is None
    assert (await till.row(unknown)).credits_checked_units == 1
    since = await till.core.last_seq()
    await till.check.run("hpc")
    assert await till.core.received(CHECK, since) == []


async def test_a_job_that_cannot_be_paid_brings_the_next_tick_forward(till: Till) -> None:
    poor = await till.new_job()
    await till.check.run("hpc")
    assert till.cancelled == []
    await till.core.set_wallet("example-compute", 0, user=poor)
    await till.door.call(JobMap.apply, [JobChange(poor, {"elapsed_seconds": 120})])
    await till.check.run("hpc")
    assert till.cancelled == [True]
    assert (await till.row(poor)).wished_state is JobState.SUCCESS


async def test_a_slow_core_does_not_hold_up_the_tick(till: Till) -> None:
    poor = await till.new_job()
    await till.core.set_wallet("example-compute", 0, user=poor)
    await till.core.behave(delay_seconds=3)
    begun = time.monotonic()
    await till.check.run("hpc")
    assert time.monotonic() - begun < 2
    assert (await till.row(poor)).credits_checked_units is None
    await till.core.behave(delay_seconds=0)
    await till.check.run("hpc")
    assert (await till.row(poor)).wished_state is JobState.SUCCESS


async def test_a_core_that_is_away_is_asked_again(till: Till) -> None:
    asked = await till.new_job()
    await till.core.behave(down=True)
    await till.check.run("hpc")
    assert (await till.row(asked)).credits_checked_units is None
    await till.core.behave(down=False)
    await till.check.run("hpc")
    assert (await till.row(asked)).credits_checked_units == 1
