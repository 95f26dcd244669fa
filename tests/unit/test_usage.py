"""Today's Core is told totals: absolute, under a job's own scope, never a smaller one after a larger."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core, Era, FacadeConfig
from slurm_provider.core import CoreClient
from slurm_provider.jobmap import Charge, Door, JobChange, JobMap, JobRow, Outbox
from slurm_provider.tracker.charges import due
from slurm_provider.tracker.credits import OUT_OF_CREDITS
from slurm_provider.tracker.delivery import Delivery
from slurm_provider.tracker.payment import Payment, PaymentUnknown, payment
from slurm_provider.tracker.usage import UsageCheck, usage_of
from slurm_provider.ucloud.jobs import JobState, ResolvedCategory, ResolvedProduct
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import facade_config, job

PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}
_numbers = count(1)


@dataclass
class Till:
    """An empty job map of today's era, and the delivery of its usage."""

    core: CoreStandin
    door: Door
    delivery: Delivery
    cancelled: list[bool] = field(default_factory=list)

    async def new_job(self, **columns: Any) -> str:
        job_id = f"used-{next(_numbers)}"
        row = job(job_id=job_id, ucloud_user=job_id, state=JobState.RUNNING, started_at=1000, **columns)
        owner = {"createdBy": job_id, "project": columns.get("project")}
        await self.core.add_jobs({"id": job_id, "owner": owner, "specification": {"product": PRODUCT}})
        await self.door.call(JobMap.add_jobs, [(row, JobChange(job_id))])
        return job_id

    async def use(self, job_id: str, seconds: int, *, ended: bool = False) -> None:
        """Charge a job as a look at Slurm would."""

        def decide(row: JobRow) -> JobChange:
            charges = due("example", row, seconds, ended=ended)
            columns: dict[str, object] = {"elapsed_seconds": seconds}
            if charges:
                columns["charged_units"] = charges[-1].to_unit
            return JobChange(job_id, columns, charges=charges)

        await self.door.call(JobMap.change_job, job_id, decide)

    async def deliver(self) -> None:
        while await self.delivery.deliver():
            pass

    async def told(self, job_id: str) -> list[int]:
        """The totals that Core has taken, in order."""
        calls = await self.core.received("v2/reportUsage")
        items = [item for call in calls if call["status"] == 200 for item in call["body"]["items"]]
        return [item["usage"] for item in items if item["description"]["scope"] == f"example-{job_id}"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder, era="today") as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def till(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Till]:
    section = Core(
        url=core.url,
        public_key_file=core_folder / "provider.pub",
        refresh_token_file=core_folder / "refresh-token",
        era=Era.TODAY,
    )
    door = await Door.open(tmp_path / "jobs.db", lambda: 5000, partial(usage_of, "example"))
    cancelled: list[bool] = []
    async with CoreClient(section) as client:
        yield Till(core, door, Delivery(door, client, lambda: cancelled.append(True)), cancelled)
    await door.close()
    assert await core.violations() == []


async def test_what_is_reported_is_the_jobs_total_for_all_replicas_at_its_price(till: Till) -> None:
    job_id = await till.new_job(replicas=3, unit_price=4)
    await till.use(job_id, 31 * 60)
    await till.deliver()
    await till.use(job_id, 31 * 60 + 1, ended=True)
    await till.deliver()
    assert await till.told(job_id) == [30 * 3 * 4, 32 * 3 * 4]
    assert (await till.core.wallet("example-compute", user=job_id))["charged"] == 32 * 3 * 4


async def test_a_report_whose_answer_was_lost_is_counted_once(till: Till) -> None:
    job_id = await till.new_job()
    await till.use(job_id, 900)
    await till.core.behave(fail_next=[{"path": "v2/reportUsage", "status": 502, "times": 1, "after": True}])
    with pytest.raises(Exception, match="502"):
        await till.delivery.deliver()
    await till.deliver()
    assert (await till.core.wallet("example-compute", user=job_id))["charged"] == 15
    assert [u["usage"] for u in await till.core.usage() if u["scope"] == f"example-{job_id}"] == [15]


async def test_totals_wait_in_order_and_the_last_one_is_kept(till: Till) -> None:
    job_id = await till.new_job()
    for seconds in (900, 1800, 2700):
        await till.use(job_id, seconds)
    await till.deliver()
    assert await till.told(job_id) == [15, 30, 45]
    history = await till.door.call(JobMap.history, job_id)
    assert [item["body"]["usage"] for item in history["outbox"]] == [45]
    assert len(history["charges"]) == 3


async def test_a_project_pays_for_its_jobs(till: Till) -> None:
    job_id = await till.new_job(project="bio-project")
    await till.use(job_id, 900)
    await till.deliver()
    assert (await till.core.wallet("example-compute", project="bio-project"))["charged"] == 15


async def test_the_answer_false_ends_the_job_at_once(till: Till) -> None:
    job_id = await till.new_job()
    await till.core.set_wallet("example-compute", 15, user=job_id)
    await till.use(job_id, 900)
    await till.deliver()
    row = await till.door.call(JobMap.job, job_id)
    assert row is not None
    assert (row.wished_state, row.wished_message) == (JobState.SUCCESS, OUT_OF_CREDITS)
    assert till.cancelled == [True]


async def test_the_unchanged_total_asks_whether_the_owner_can_pay(till: Till) -> None:
    job_id = await till.new_job()
    check = UsageCheck(till.door)
    for _ in range(2):
        await check.run("hpc")
    await till.deliver()
    assert await till.told(job_id) == [0]
    await till.use(job_id, 60)
    await till.core.set_wallet("example-compute", 0, user=job_id)
    await check.run("hpc")
    await till.deliver()
    assert await till.told(job_id) == [0, 0]
    assert till.cancelled == [True]


async def test_what_waits_for_core_is_not_queued_twice(till: Till) -> None:
    job_id = await till.new_job()
    check = UsageCheck(till.door)
    for seconds in (0, 60, 120, 180):
        await till.use(job_id, seconds)
        await check.run("hpc")
    assert len(await till.door.outbox(Outbox.undelivered, 100)) == 1


async def test_a_job_that_costs_nothing_is_not_reported(till: Till) -> None:
    job_id = await till.new_job(unit_price=0)
    await till.use(job_id, 900)
    await UsageCheck(till.door).run("hpc")
    assert await till.door.outbox(Outbox.undelivered, 100) == []
    assert len((await till.door.call(JobMap.history, job_id))["charges"]) == 1


async def test_an_owner_whom_core_refuses_holds_up_nobody(till: Till) -> None:
    good, bad = await till.new_job(), await till.new_job(category="nothing")
    for job_id in (bad, good):
        await till.use(job_id, 900)
    await till.deliver()
    assert await till.told(good) == [15]
    [refused] = (await till.door.call(JobMap.history, bad))["outbox"]
    assert "Forbidden" in refused["last_error"]
    await till.core.clear_violations()


async def test_what_core_has_taken_as_charges_is_in_no_total_when_the_era_changes(
    till: Till, tmp_path: Path
) -> None:
    before = JobMap(tmp_path / "jobs.db", lambda: 5000)
    told, waits = await till.new_job(replicas=2), await till.new_job(unit_price=3)
    for job_id, cells, taken in ((told, 3, 2), (waits, 2, 0)):
        cuts = [Charge(f"example-{job_id}-{n}", job_id, n * 15, n * 15 + 15, 1) for n in range(cells)]
        before.apply([JobChange(job_id, {"charged_units": cells * 15}, charges=cuts)])
        before.outbox.delivered([i for i in before.outbox.undelivered(9) if i.job_id == job_id][:taken])
    before.close()
    JobMap(tmp_path / "jobs.db", lambda: 5000, partial(usage_of, "example")).close()
    await till.use(told, 3600)
    await till.deliver()
    assert await till.told(told) == [1 * 15 * 2, 2 * 15 * 2]
    assert await till.told(waits) == [2 * 15 * 3]
    assert await till.core.received("chargeCredits") == []


def today(tmp_path: Path, *, price: int | None = None, **category: Any) -> FacadeConfig:
    config = facade_config(tmp_path)
    product = config.products[0].model_copy(update={"price": price})
    core = config.core.model_copy(update={"era": Era.TODAY})
    known = {"example-compute": config.category("example-compute").model_copy(update=category)}
    return config.model_copy(update={"products": [product], "core": core, "categories": known})


def resolved(frequency: str = "PERIODIC_MINUTE", price: int = 7, **category: Any) -> ResolvedProduct:
    return ResolvedProduct(
        category=ResolvedCategory(accountingFrequency=frequency, **category), price=price, name="x"
    )


@pytest.mark.parametrize(
    ("settings", "product", "expected"),
    [
        ({}, resolved(), Payment(60, 15, 7)),
        ({}, resolved("PERIODIC_HOUR"), Payment(3600, 1, 7)),
        ({}, resolved("PERIODIC_DAY"), Payment(86400, 1, 7)),
        ({}, resolved("ONCE"), Payment(0, 1, 7)),
        ({"price": 3}, resolved(), Payment(60, 15, 3)),
        ({"usage_frequency": "PERIODIC_MINUTE"}, resolved("PERIODIC_DAY"), Payment(60, 15, 7)),
        ({}, resolved(freeToUse=True), Payment(60, 15, 0)),
        ({"free_to_use": True}, resolved(), Payment(60, 15, 0)),
        ({"frequency": "PERIODIC_HOUR"}, None, Payment(3600, 1, 1)),
    ],
)
def test_how_a_job_is_paid_for_today(
    tmp_path: Path, settings: dict[str, Any], product: ResolvedProduct | None, expected: Payment
) -> None:
    config = today(tmp_path, **settings)
    assert payment(product, config.products[0], config) == expected


def test_a_frequency_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    config = today(tmp_path)
    with pytest.raises(PaymentUnknown, match="PERIODIC_YEAR"):
        payment(resolved("PERIODIC_YEAR"), config.products[0], config)
