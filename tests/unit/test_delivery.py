"""What the outbox holds reaches Core: in order, once, and for as long as it takes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core
from slurm_provider.core import CoreClient, CoreUnavailable
from slurm_provider.jobmap import Charge, Door, JobChange, JobMap
from slurm_provider.tracker.delivery import Delivery
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import job

UPDATE, CHARGE = "control/update", "control/chargeCredits"
PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}
_numbers = count(1)


@dataclass
class Post:
    """An empty job map, and the delivery from it to Core."""

    core: CoreStandin
    door: Door
    delivery: Delivery
    cancelled: list[bool] = field(default_factory=list)

    async def new_job(self, *, known_to_core: bool = True) -> str:
        job_id = f"job-{next(_numbers)}"
        hour = {"hours": 1, "minutes": 0, "seconds": 0}
        if known_to_core:
            await self.core.add_jobs(
                {
                    "id": job_id,
                    "owner": {"createdBy": job_id, "project": None},
                    "specification": {"product": PRODUCT, "timeAllocation": hour},
                }
            )
        await self.door.call(JobMap.add_jobs, [(job(job_id=job_id), JobChange(job_id))])
        return job_id

    async def tell(self, job_id: str, *words: str) -> None:
        for word in words:
            await self.door.call(JobMap.tell, job_id, JobUpdate(status=word))

    async def charge(self, job_id: str, start: int, end: int) -> None:
        charge = Charge(f"example-{job_id}-{start}-{end}", job_id, start, end, 1)
        await self.door.call(JobMap.apply, [JobChange(job_id, charges=[charge])])

    async def deliver_all(self) -> None:
        while await self.delivery.deliver():
            pass

    async def heard(self, since: int = 0) -> list[tuple[str, str]]:
        """(job, word or charged units) of all that Core has taken, in order."""
        heard = []
        for call in await self.core.received(since=since):
            if call["status"] == 200 and call["path"].endswith((UPDATE, CHARGE)):
                heard += [(item["id"], _word(item)) for item in call["body"]["items"]]
        return heard

    async def left(self) -> int:
        return len(await self.door.call(JobMap.undelivered, 10**6))


def _word(item: dict[str, Any]) -> str:
    return item["update"]["status"] if "update" in item else str(item["units"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder) as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def post(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Post]:
    await core.behave(down=False, delay_seconds=0, fail_next=[])
    section = Core(
        url=core.url,
        public_key_file=core_folder / "provider.pub",
        refresh_token_file=core_folder / "refresh-token",
    )
    cancelled: list[bool] = []
    door = await Door.open(tmp_path / "jobs.db", _clock(1000))
    async with CoreClient(section) as client:
        yield Post(core, door, Delivery(door, client, lambda: cancelled.append(True)), cancelled)
    await door.close()


def _clock(second: float) -> Callable[[], float]:
    return lambda: second


async def test_each_job_is_told_in_the_order_of_its_life(post: Post) -> None:
    since = await post.core.last_seq()
    first, second = await post.new_job(), await post.new_job()
    await post.tell(first, "1", "2")
    await post.tell(second, "1")
    await post.charge(first, 0, 15)
    await post.tell(first, "3")
    await post.charge(first, 15, 16)
    await post.deliver_all()
    heard = await post.heard(since)
    assert [word for job_id, word in heard if job_id == first] == ["1", "2", "15", "3", "1"]
    assert [word for job_id, word in heard if job_id == second] == ["1"]
    assert await post.left() == 0


async def test_many_jobs_are_told_in_few_calls(post: Post) -> None:
    since = await post.core.last_seq()
    jobs = [await post.new_job() for _ in range(150)]
    for job_id in jobs:
        await post.tell(job_id, "1")
    await post.deliver_all()
    calls = await post.core.received(UPDATE, since)
    assert [len(call["body"]["items"]) for call in calls] == [100, 50]


async def test_one_job_that_core_does_not_know_does_not_hold_the_others(post: Post) -> None:
    since = await post.core.last_seq()
    jobs = [await post.new_job(known_to_core=number != 2) for number in range(5)]
    for job_id in jobs:
        await post.tell(job_id, "1", "2")
        await post.charge(job_id, 0, 15)
    await post.deliver_all()
    heard = await post.heard(since)
    for number, job_id in enumerate(jobs):
        expected = [] if number == 2 else ["1", "2", "15"]
        assert [word for known, word in heard if known == job_id] == expected
    assert await post.left() == 0
    refused = (await post.door.call(JobMap.history, jobs[2]))["outbox"]
    assert all(item["refused_at"] and "Not found" in item["last_error"] for item in refused)


async def test_core_being_down_loses_nothing(post: Post) -> None:
    since = await post.core.last_seq()
    job_id = await post.new_job()
    await post.tell(job_id, "1")
    await post.charge(job_id, 0, 15)
    await post.tell(job_id, "2")
    await post.core.behave(down=True)
    for _ in range(3):
        with pytest.raises(CoreUnavailable):
            await post.delivery.deliver()
    assert (await post.left(), await post.heard(since)) == (3, [])
    assert (await post.door.call(JobMap.history, job_id))["outbox"][0]["last_error"]
    await post.core.behave(down=False)
    await post.deliver_all()
    assert await post.heard(since) == [(job_id, "1"), (job_id, "15"), (job_id, "2")]


async def test_one_kind_of_call_failing_does_not_keep_the_other_from_being_made(post: Post) -> None:
    since = await post.core.last_seq()
    charged, told = await post.new_job(), await post.new_job()
    await post.charge(charged, 0, 15)
    await post.tell(told, "1")
    await post.core.behave(fail_next=[{"path": CHARGE, "status": 503, "times": 1}])
    with pytest.raises(CoreUnavailable):
        await post.delivery.deliver()
    assert await post.heard(since) == [(told, "1")]
    await post.deliver_all()
    assert await post.heard(since) == [(told, "1"), (charged, "15")]


async def test_a_charge_whose_answer_was_lost_is_taken_once(post: Post) -> None:
    job_id = await post.new_job()
    await post.charge(job_id, 0, 15)
    await post.core.behave(fail_next=[{"path": CHARGE, "status": 500, "times": 1, "after": True}])
    with pytest.raises(CoreUnavailable):
        await post.delivery.deliver()
    charged = (await post.core.wallet("example-compute", user=job_id))["charged"]
    await post.deliver_all()
    assert charged > 0
    assert (await post.core.wallet("example-compute", user=job_id))["charged"] == charged
    assert await post.left() == 0


async def test_a_token_that_core_no_longer_takes_is_renewed(post: Post) -> None:
    job_id = await post.new_job()
    await post.tell(job_id, "1")
    await post.core.behave(fail_next=[{"path": UPDATE, "status": 403, "times": 1}])
    await post.deliver_all()
    assert (await post.heard())[-1] == (job_id, "1")


async def test_a_job_that_cannot_be_paid_is_wished_to_end(post: Post) -> None:
    poor, rich = await post.new_job(), await post.new_job()
    await post.core.set_wallet("example-compute", 0, user=poor)
    await post.charge(poor, 0, 15)
    await post.charge(rich, 0, 15)
    await post.deliver_all()
    row, other = await post.door.call(JobMap.job, poor), await post.door.call(JobMap.job, rich)
    assert row is not None
    assert other is not None
    assert (row.wished_state, row.wished_message) == (JobState.SUCCESS, "The job was terminated (No credits)")
    assert other.wished_state is None
    assert post.cancelled == [True]


async def test_nothing_to_deliver_is_no_call(post: Post) -> None:
    since = await post.core.last_seq()
    assert not await post.delivery.deliver()
    assert await post.core.received(since=since) == []


async def test_core_had_nothing_to_complain_of(core: CoreStandin) -> None:
    complaints = [v["what"] for v in await core.violations()]
    assert [what for what in complaints if "Not found" not in what] == []
