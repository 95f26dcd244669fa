"""What the outbox holds reaches Core: in order, once, and for as long as it takes."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core
from slurm_provider.core import CoreClient, CoreUnavailable
from slurm_provider.jobmap import Charge, Door, JobChange, JobMap, Outbox
from slurm_provider.tracker.delivery import FAILURES_APART, TRIES_TOGETHER, Delivery
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState
from tests.support.standin import CoreStandin, running_core
from tests.support.tiny_core import Reply, TinyCore, good_token, tiny_core
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
        return len(await self.door.outbox(Outbox.undelivered, 10**6))


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


@dataclass
class Ward:
    """A job map, the delivery from it, and a Core that fails whenever it hears of one of the `sick`."""

    core: TinyCore
    door: Door
    delivery: Delivery
    sick: set[str] = field(default_factory=set)
    time: float = 0.0
    taken: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, _path: str, body: Any) -> Reply:
        if self.sick & {item["id"] for item in body["items"]}:
            return Reply(500, {"why": "NullPointerException"})
        self.taken += [(item["id"], _word(item)) for item in body["items"]]
        return Reply(200, {})

    async def new_jobs(self, count: int) -> list[str]:
        jobs = [job(job_id=f"job-{next(_numbers)}") for _ in range(count)]
        await self.door.call(JobMap.add_jobs, [(row, JobChange(row.job_id)) for row in jobs])
        return [row.job_id for row in jobs]

    async def charge(self, job_ids: list[str]) -> None:
        charges = [Charge(f"example-{job_id}-0-15", job_id, 0, 15, 1) for job_id in job_ids]
        changes = [JobChange(charge.job_id, charges=[charge]) for charge in charges]
        await self.door.call(JobMap.apply, changes)

    async def tell(self, job_ids: list[str], word: str) -> None:
        changes = [JobChange(job_id, updates=[JobUpdate(status=word)]) for job_id in job_ids]
        await self.door.call(JobMap.apply, changes)

    async def rounds(self, count: int, seconds: float = 60) -> None:
        """Deliver so often, each time so much later."""
        for _ in range(count):
            self.time += seconds
            with suppress(CoreUnavailable):
                await self.delivery.deliver()

    async def outbox(self, job_id: str) -> list[dict[str, Any]]:
        return list((await self.door.call(JobMap.history, job_id))["outbox"])


@pytest_asyncio.fixture(loop_scope="session")
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    (tmp_path / "provider.pub").touch()
    (tmp_path / "refresh-token").write_text("a token\n")
    door = await Door.open(tmp_path / "jobs.db", _clock(1000))
    async with tiny_core() as core:
        section = Core(
            url=core.url,
            public_key_file=tmp_path / "provider.pub",
            refresh_token_file=tmp_path / "refresh-token",
        )
        async with CoreClient(section) as client:
            made = Ward(core, door, Delivery(door, client, lambda: None, lambda: made.time))
            core.reply = made.answer
            yield made
    await door.close()


async def test_nothing_is_lost_while_core_refuses_the_token(ward: Ward) -> None:
    jobs = await ward.new_jobs(3)
    await ward.charge(jobs)
    await ward.tell(jobs, "1")
    ward.core.reply_refresh = lambda: Reply(401, {"why": "Unauthorized"})
    await ward.rounds(5)
    assert ward.taken == []
    ward.core.reply_refresh = good_token
    await ward.rounds(2)
    assert ward.taken == [(job_id, word) for word in ("15", "1") for job_id in jobs]


async def test_a_job_that_core_always_fails_on_holds_no_other(ward: Ward) -> None:
    jobs = await ward.new_jobs(250)
    sick, others = jobs[0], jobs[1:]
    ward.sick = {sick}
    await ward.charge(jobs)
    await ward.tell(jobs, "1")
    await ward.rounds(TRIES_TOGETHER + 1)
    assert set(ward.taken) == {(job_id, word) for job_id in others for word in ("15", "1")}
    charge, update = await ward.outbox(sick)
    assert (charge["delivered_at"], charge["refused_at"], charge["tries"]) == (None, None, TRIES_TOGETHER + 1)
    assert "NullPointerException" in charge["last_error"]
    assert (update["delivered_at"], update["tries"]) == (None, 0)
    late = await ward.new_jobs(1)
    await ward.charge(late)
    await ward.rounds(1)
    assert ward.taken[-1] == (late[0], "15")
    ward.sick = set()
    await ward.rounds(1)
    assert ward.taken[-2:] == [(sick, "15"), (sick, "1")]


async def test_a_job_that_core_always_fails_on_is_tried_ever_more_rarely(ward: Ward) -> None:
    sick = await ward.new_jobs(1)
    ward.sick = set(sick)
    await ward.tell(sick, "1")
    await ward.rounds(300, seconds=1)
    assert 300 / 45 < len(ward.core.calls) < 30


async def test_thousands_of_charges_that_are_stuck_do_not_keep_updates_back(ward: Ward) -> None:
    charged, told = await ward.new_jobs(2500), await ward.new_jobs(2)
    ward.sick = set(charged)
    await ward.charge(charged)
    await ward.tell(charged[:1], "behind a charge")
    await ward.tell(told, "1")
    await ward.rounds(1)
    assert ward.taken == [(job_id, "1") for job_id in told]


async def test_jobs_that_core_always_fails_on_keep_no_other_back_however_many(ward: Ward) -> None:
    sick, others = await ward.new_jobs(300), await ward.new_jobs(20)
    ward.sick = set(sick)
    await ward.tell(sick + others, "1")
    await ward.rounds(40)
    assert set(ward.taken) == {(job_id, "1") for job_id in others}


async def test_a_core_that_is_away_for_long_is_asked_little_and_then_told_in_bulk(ward: Ward) -> None:
    jobs = await ward.new_jobs(100)
    ward.sick = set(jobs)
    await ward.tell(jobs, "1")
    await ward.rounds(TRIES_TOGETHER)
    before = len(ward.core.calls)
    await ward.rounds(5)
    assert len(ward.core.calls) - before == 5 * (1 + FAILURES_APART)
    ward.sick = set()
    before = len(ward.core.calls)
    await ward.rounds(1)
    assert (len(ward.taken), len(ward.core.calls) - before) == (100, 1)
