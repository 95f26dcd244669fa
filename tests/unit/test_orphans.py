"""A job is ended for Core's word alone only when Core has denied it again and again."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core, Era
from slurm_provider.config import Orphans as Section
from slurm_provider.core import CoreClient, CoreUnavailable, TodaysCore
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Outbox
from slurm_provider.tracker.delivery import Delivery
from slurm_provider.tracker.orphans import ORPHANED, Orphans
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import job

SECTION = Section(confirmations=3, pause_seconds=60, minimum_age_seconds=300)
CREATED_AT = 900
_numbers = count(1)


@dataclass
class Court:
    """A job map whose jobs Core may have lost, at a time that a test sets."""

    core: CoreStandin
    door: Door
    now: float = CREATED_AT + 1000
    cancelled: list[bool] = field(default_factory=list)

    def start(self, client: CoreClient) -> None:
        self.orphans = Orphans(
            SECTION, self.door, TodaysCore(client), lambda: self.cancelled.append(True), lambda: self.now
        )
        self.delivery = Delivery(self.door, client, lambda: None, refused=self.orphans.refused)

    async def new_job(self, *, known: bool, state: JobState = JobState.RUNNING, **columns: Any) -> str:
        """A job with an update that waits for Core."""
        job_id = f"lost-{next(_numbers)}"
        if known:
            await self.core.add_jobs({"id": job_id})
        row = job(job_id=job_id, state=state, created_at=CREATED_AT, **columns)
        change = JobChange(job_id, updates=[JobUpdate(status="News")])
        await self.door.call(JobMap.add_jobs, [(row, change)])
        return job_id

    async def round(self, *, later: float = SECTION.pause_seconds) -> None:
        """Deliver what can go, and ask about suspects; then some time passes."""
        while await self.delivery.deliver():
            pass
        await self.orphans.ask()
        self.now += later

    async def row(self, job_id: str) -> JobRow:
        row = await self.door.call(JobMap.job, job_id)
        assert row is not None
        return row


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder, era="today") as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def court(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Court]:
    section = Core(
        url=core.url,
        public_key_file=core_folder / "provider.pub",
        refresh_token_file=core_folder / "refresh-token",
        era=Era.TODAY,
    )
    door = await Door.open(tmp_path / "jobs.db", lambda: 5000)
    court = Court(core, door)
    async with CoreClient(section) as client:
        court.start(client)
        yield court
    await door.close()
    assert await core.violations() == []


async def test_a_job_that_core_denies_three_times_is_given_up(court: Court) -> None:
    job_id = await court.new_job(known=False)
    for _ in range(2):
        await court.round()
        assert (await court.row(job_id)).wished_state is None
    await court.round()
    row = await court.row(job_id)
    assert (row.wished_state, row.wished_message) == (JobState.FAILURE, ORPHANED)
    assert court.cancelled == [True]
    await court.round()
    assert court.cancelled == [True]


async def test_a_refused_update_goes_with_each_denial(court: Court) -> None:
    job_id = await court.new_job(known=False)
    seq = await court.core.last_seq()
    for _ in range(3):
        await court.round()
    calls = [
        call["path"].rpartition("/")[2]
        for call in await court.core.received(since=seq)
        if job_id in str(call["body"])
    ]
    assert calls == ["update", "checkExistence"] * 3


async def test_denials_without_time_between_them_prove_nothing(court: Court) -> None:
    job_id = await court.new_job(known=False)
    for _ in range(5):
        await court.round(later=SECTION.pause_seconds / 10)
    assert (await court.row(job_id)).wished_state is None


async def test_a_young_job_is_not_given_up(court: Court) -> None:
    court.now = CREATED_AT
    job_id = await court.new_job(known=False)
    for _ in range(5):
        await court.round()
        assert (await court.row(job_id)).wished_state is None
    await court.round()
    assert (await court.row(job_id)).wished_state is JobState.FAILURE


async def test_a_core_that_remembers_a_job_is_told_what_it_refused(court: Court) -> None:
    job_id = await court.new_job(known=False)
    await court.round()
    await court.round()
    await court.core.add_jobs({"id": job_id})
    for _ in range(4):
        await court.round()
    assert (await court.row(job_id)).wished_state is None
    assert [update["status"] for update in (await court.core.job(job_id))["updates"]] == ["News"]


async def test_a_core_that_had_forgotten_only_the_first_time_is_told_at_once(court: Court) -> None:
    job_id = await court.new_job(known=True)
    refusal = {"path": "control/update", "status": 404, "times": 1}
    await court.core.behave(fail_next=[refusal])
    await court.round()
    await court.round()
    assert [update["status"] for update in (await court.core.job(job_id))["updates"]] == ["News"]


async def test_a_state_that_core_refused_does_not_come_after_a_later_one(court: Court) -> None:
    job_id = await court.new_job(known=True)
    paused = JobUpdate(state=JobState.SUSPENDED, status="paused", allowRestart=False)
    await court.door.call(JobMap.tell, job_id, paused)
    refusals = {"path": "control/update", "status": 404, "times": 3}  # both, then each
    await court.core.behave(fail_next=[refusals])
    while await court.delivery.deliver():
        pass
    await court.door.call(JobMap.tell, job_id, JobUpdate(state=JobState.RUNNING, status="goes on"))
    for _ in range(2):
        await court.round()
    told = await court.core.job(job_id)
    assert told["status"]["state"] == "RUNNING"
    assert [update["status"] for update in told["updates"]] == ["goes on", "News", "paused"]


async def test_a_core_that_is_down_ends_nothing(court: Court) -> None:
    job_id = await court.new_job(known=False)
    await court.round()
    await court.core.behave(down=True)
    for _ in range(5):
        with suppress(CoreUnavailable):
            await court.round()
        court.now += SECTION.pause_seconds
    await court.core.behave(down=False)
    assert (await court.row(job_id)).wished_state is None
    assert court.cancelled == []


async def test_a_job_that_has_ended_is_not_cancelled(court: Court) -> None:
    job_id = await court.new_job(known=False, state=JobState.SUCCESS)
    for _ in range(4):
        await court.round()
    assert (await court.row(job_id)).wished_state is None
    assert court.cancelled == []
    assert await court.door.outbox(Outbox.undelivered, 10) == []


async def test_a_job_that_was_submitted_without_ucloud_goes_on_where_core_has_lost_it(court: Court) -> None:
    job_id = await court.new_job(known=False, tag="outside hpc/77/1000")
    for _ in range(5):
        await court.round()
    assert (await court.row(job_id)).wished_state is None
    assert court.cancelled == []
