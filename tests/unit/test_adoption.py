"""Core asks about jobs that the job map does not know: they are adopted, surely gone, or nothing is said."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from slurm_provider.config import FacadeConfig
from slurm_provider.core import CoreClient
from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow, Outbox, OutboxItem, UserMapping
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import (
    AccountingRecord,
    AccountingRecords,
    ListAccountingRequest,
    ListLiveJobsRequest,
    LiveJob,
    LiveJobs,
)
from slurm_provider.rpc.v1.queue_pb2_grpc import QueueServiceServicer, add_QueueServiceServicer_to_server
from slurm_provider.tracker.adoption import GONE, Adoption
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.links import JobLinks
from slurm_provider.ucloud.jobs import Job, JobState
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import facade_config, job, live, record

NOW = 1_800_000_000
HOUR = 3600
PRODUCT = {"id": "example-compute-1", "category": "example-compute", "provider": "example"}


@dataclass
class Queue(QueueServiceServicer):
    """A sidecar that answers with these rows, after `meanwhile` has happened."""

    live: list[LiveJob] = field(default_factory=list)
    records: list[AccountingRecord] = field(default_factory=list)
    asked_since: list[int] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    meanwhile: asyncio.Event | None = None

    async def ListLiveJobs(  # noqa: N802 - gRPC's own spelling
        self, _request: ListLiveJobsRequest, _context: Any
    ) -> AsyncIterator[LiveJobs]:
        self.reached.set()
        if self.meanwhile is not None:
            await self.meanwhile.wait()
        yield LiveJobs(jobs=self.live)

    async def ListAccounting(  # noqa: N802
        self, request: ListAccountingRequest, _context: Any
    ) -> AsyncIterator[AccountingRecords]:
        self.asked_since.append(request.since)
        yield AccountingRecords(records=self.records)


@dataclass
class Case:
    """An empty job map, a queue, and what reconciles the two."""

    core: CoreStandin
    queue: Queue
    door: Door
    adoption: Adoption
    tagger: Tagger

    async def verify(self, *jobs: Job) -> list[dict[str, Any]]:
        with capture_logs() as lines:
            await self.adoption.verify(jobs)
        return [dict(line) for line in lines]

    async def told(self) -> list[tuple[str, Any, Any]]:
        items: list[OutboxItem] = await self.door.outbox(Outbox.undelivered, 100)
        updates = [(item.job_id, json.loads(item.body)["update"]) for item in items]
        return [(job_id, update["state"], update["status"]) for job_id, update in updates]

    async def row(self, job_id: str) -> JobRow | None:
        return await self.door.call(JobMap.job, job_id)

    def runs(self, job_id: str, slurm_id: int = 77, **changes: Any) -> None:
        tag = self.tagger.tag(job_id)
        row = live("RUNNING", slurm_id=slurm_id, name=tag, comment=tag, submit_time=NOW - HOUR, **changes)
        self.queue.live.append(row)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder) as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def case(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Case]:
    queue, server = Queue(), grpc.aio.server()
    add_QueueServiceServicer_to_server(queue, server)
    server.add_insecure_port(f"unix:{tmp_path}/sidecar.sock")
    await server.start()
    config = _config(tmp_path, core.url, core_folder / "refresh-token")
    cluster = Cluster("hpc", config.clusters["hpc"])
    tagger = Tagger("example", "a token")
    door = await Door.open(tmp_path / "jobs.db", _now)
    await door.call(JobMap.map_user, UserMapping("user", "alice", "users"))
    async with CoreClient(config.core) as client:
        limits = {"hpc": LimitCache(cluster, door, 60)}
        links = JobLinks(config, door, client)
        adoption = Adoption(config, door, client, {"hpc": cluster}, tagger, limits, links, lambda: None, _now)
        yield Case(core, queue, door, adoption, tagger)
    await cluster.close()
    await server.stop(None)
    await door.close()


def _now() -> float:
    return NOW


def _config(folder: Path, core_url: str, token: Path) -> FacadeConfig:
    config = facade_config(folder)
    section = config.core.model_copy(update={"url": core_url, "refresh_token_file": token})
    cluster = config.clusters["hpc"].model_copy(update={"sidecar": f"unix:{folder}/sidecar.sock"})
    return config.model_copy(update={"core": section, "clusters": {"hpc": cluster}})


def asked(
    job_id: str, *, age: float | None = HOUR, price_unit: str | None = "CREDITS_PER_MINUTE", **changes: Any
) -> Job:
    """A job as Core sends it to be verified; without a price unit, without its product."""
    product = {"name": "example-compute-1", "unitOfPrice": price_unit}
    facts = {
        "id": job_id,
        "createdAt": None if age is None else int((NOW - age) * 1000),
        "owner": {"createdBy": "user", "project": None},
        "specification": {"product": PRODUCT, "replicas": 1},
        "status": {"state": "RUNNING", "resolvedProduct": product if price_unit else None},
    }
    return Job.model_validate(facts | changes)


async def test_a_job_that_slurm_has_is_adopted(case: Case) -> None:
    case.runs("1", slurm_id=4711)
    await case.verify(asked("1"))
    row = await case.row("1")
    assert row is not None
    assert (row.slurm_id, row.local_user, row.account) == (4711, "alice", "users")
    assert [told for told in await case.told() if told[1] is not None] == []


@pytest.mark.parametrize("age", [HOUR, 31, None])
async def test_a_job_that_slurm_does_not_have_is_gone(case: Case, age: float | None) -> None:
    await case.verify(asked("1", age=age))
    assert await case.told() == [("1", JobState.FAILURE, GONE)]


@pytest.mark.parametrize("age", [0, 29, -60])
async def test_nothing_is_concluded_of_a_job_that_core_has_just_made(case: Case, age: float) -> None:
    await case.verify(asked("1", age=age), asked("2"))
    assert await case.told() == [("2", JobState.FAILURE, GONE)]


async def test_a_job_created_while_slurm_is_asked_is_not_gone(case: Case) -> None:
    case.queue.meanwhile = asyncio.Event()
    verifying = asyncio.create_task(case.verify(asked("1")))
    await asyncio.wait_for(case.queue.reached.wait(), 10)
    await case.door.call(JobMap.add_jobs, [(job(job_id="1"), JobChange("1"))])
    case.queue.meanwhile.set()
    await verifying
    assert await case.told() == []


async def test_a_job_of_unknown_age_is_looked_for_as_far_back_as_any(case: Case) -> None:
    await case.verify(asked("1", age=60), asked("2", age=None))
    assert case.queue.asked_since == [NOW - 30 * 86400]


@pytest.mark.parametrize("changes", [{"user": "bob"}, {"account": "other"}])
async def test_a_job_whose_owner_was_mapped_anew_is_not_said_to_be_gone(
    case: Case, changes: dict[str, Any]
) -> None:
    case.runs("1", **changes)
    lines = await case.verify(asked("1"))
    assert (await case.told(), await case.row("1")) == ([], None)
    assert [line["job_id"] for line in lines if line["event"] == "job not adopted"] == ["1"]


async def test_a_job_in_accounting_of_another_account_is_not_said_to_be_gone(case: Case) -> None:
    case.queue.records.append(record("COMPLETED", elapsed=60, name=case.tagger.tag("1"), account="other"))
    await case.verify(asked("1"))
    assert (await case.told(), await case.row("1")) == ([], None)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda job_id: asked(job_id, price_unit="BEADS_PER_MOON"), id="an unknown price unit"),
        pytest.param(lambda job_id: asked(job_id, price_unit=None), id="a job that Core does not show"),
        pytest.param(lambda job_id: asked(job_id, owner=None), id="a job of nobody"),
        pytest.param(lambda job_id: asked(job_id, specification=None), id="a job without a product"),
        pytest.param(
            lambda job_id: asked(job_id, owner={"createdBy": "nobody"}), id="a user who is not mapped"
        ),
    ],
)
async def test_what_goes_wrong_with_one_job_does_not_keep_the_others_from_being_verified(
    case: Case, broken: Callable[[str], Job]
) -> None:
    for number in (1, 2):
        case.runs(str(number), slurm_id=number)
    lines = await case.verify(broken("1"), asked("2"), asked("3"))
    assert await case.row("1") is None
    assert await case.row("2") is not None
    assert [told for told in await case.told() if told[1]] == [("3", JobState.FAILURE, GONE)]
    assert [line.get("job_id") for line in lines if line["log_level"] != "info"] == ["1"]


async def test_verify_raises_nothing_whatever_happens(case: Case) -> None:
    await case.door.call(JobMap.close)
    lines = await case.verify(asked("1"), asked("2"))
    assert [line["job_id"] for line in lines if line["log_level"] == "error"] == ["1", "2"]
