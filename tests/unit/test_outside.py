"""Jobs submitted without UCloud: which of them Core is to know, and that it is told once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from slurm_provider.config import FacadeConfig, load_facade
from slurm_provider.core import CoreClient, CoreUnavailable
from slurm_provider.jobmap import Door, JobMap, Outbox, OutsideJob, UserMapping
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.rpc.v1.shape_pb2 import JobShape
from slurm_provider.slurm.command import Outcome, SlurmUnavailable
from slurm_provider.slurm.squeue_shapes import SqueueShapes
from slurm_provider.tracker.outside import (
    Likeness,
    Newcomer,
    likeness_of,
    may_be_outside,
    owner_of,
    registration,
)
from slurm_provider.tracker.registrar import Registrar
from slurm_provider.tracker.usage import usage_of
from slurm_provider.ucloud.jobs import JobState
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import CONFIG, TAG, config_file, live

_ids = count(1000)
CAROL = UserMapping("carol", "alice", "users")
USERS = [CAROL, UserMapping("u", "twice", "x"), UserMapping("v", "twice", "x")]
PROJECTS = {"bio-project": "Bio", "one": "shared", "two": "shared"}
SMALL = """
[[products]]
category = "example-compute"
id = "one-core"
cluster = "hpc"
partition = "main"
cpu = 1

[[products]]
category = "example-compute"
id = "machine"
cluster = "hpc"
partition = "main"
cpu = 3
memory_gib = 1
virtual_machines = true
"""


def outside(**changes: Any) -> LiveJob:
    return live("RUNNING", name="train", comment="", slurm_id=next(_ids), **changes)


def config(folder: Path, core_url: str = "http://core.example") -> FacadeConfig:
    text = CONFIG.replace("http://core.example", core_url).replace("[jobmap]", 'era = "today"\n\n[jobmap]')
    text = text.replace("[[drives]]", "register_outside_jobs = true\n\n[[drives]]")
    return load_facade(config_file(folder, text + SMALL))


@pytest.mark.parametrize(
    ("job", "ours", "expected"),
    [
        (live("RUNNING", name="train", comment=""), {}, True),
        (live("PENDING", name="train", comment="my words"), {}, True),
        (live("COMPLETED", name="train", comment=""), {}, False),
        (live("NEVER_HEARD_OF", name="train", comment=""), {}, False),
        (live("RUNNING", name=TAG, comment=""), {}, False),
        (live("RUNNING", name="train", comment=f"mine {TAG}"), {}, False),
        (live("RUNNING", name="train", comment=""), {77: None}, False),
        (live("RUNNING", name="train", comment=""), {77: 1_000}, False),
        (live("RUNNING", name="train", comment=""), {77: 999}, True),
    ],
)
def test_a_job_of_ours_is_never_taken_for_an_outside_one(
    tmp_path: Path, job: LiveJob, ours: dict[int, int | None], expected: bool
) -> None:
    assert may_be_outside(job, ours, config(tmp_path)) is expected


@pytest.mark.parametrize(
    ("user", "account", "expected"),
    [
        ("alice", "users", ("carol", None)),
        ("alice", "USERS", ("carol", None)),
        ("alice", "bio", ("carol", "bio-project")),
        ("alice", "other", None),
        ("alice", "shared", None),
        ("twice", "x", None),
        ("nobody", "users", None),
    ],
)
def test_an_owner_is_found_only_if_there_is_exactly_one(
    user: str, account: str, expected: tuple[str, str | None] | None
) -> None:
    assert owner_of(outside(user=user, account=account), USERS, PROJECTS) == expected


@pytest.mark.parametrize(
    ("shape", "partition", "expected"),
    [
        (JobShape(qos="normal", nodes=1, cpus=4), "main", ("example-compute-1", 1)),
        (JobShape(qos="normal", nodes=3, cpus=12), "main", ("example-compute-1", 3)),
        (JobShape(qos="normal", nodes=1, cpus=8), "main", ("example-compute-1", 2)),
        (JobShape(qos="other", nodes=1, cpus=4), "main", ("one-core", 4)),
        (JobShape(qos="normal", nodes=1, cpus=3), "main", ("one-core", 3)),
        (JobShape(qos="normal", nodes=1, cpus=4), "else", None),
        (JobShape(qos="normal", nodes=1, cpus=0), "main", None),
    ],
)
def test_the_product_that_a_job_is_like(
    tmp_path: Path, shape: JobShape, partition: str, expected: tuple[str, int] | None
) -> None:
    found = likeness_of(outside(partition=partition), shape, "hpc", config(tmp_path))
    assert (found and (found.product.id, found.replicas)) == expected


def test_a_name_has_only_what_core_allows(tmp_path: Path) -> None:
    product = config(tmp_path).products[0]
    job = live("RUNNING", name="é/a:b\n$(c)", time_limit_seconds=3661)
    newcomer = Newcomer(job, OutsideJob("hpc/77/1000", "hpc", 77, "alice"), "carol", None)
    told = registration(newcomer, Likeness(product, 2, "normal"), "example").spec
    assert told.name == "a:b(c) (SlurmID: 77)"
    assert told.timeAllocation is not None
    assert told.timeAllocation.total_seconds() == 3661


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            Outcome(0, "7|alice|normal|2|8\n", ""),
            [JobShape(slurm_id=7, user="alice", qos="normal", nodes=2, cpus=8)],
        ),
        (Outcome(1, "", "slurm_load_jobs error: Invalid job id specified"), []),
    ],
)
def test_squeue_says_what_a_job_takes_up(outcome: Outcome, expected: list[JobShape]) -> None:
    assert SqueueShapes([7]).parse(outcome) == expected


@pytest.mark.parametrize("outcome", [Outcome(1, "", "Unable to contact"), Outcome(0, "7|alice|nor", "")])
def test_half_an_answer_describes_nothing(outcome: Outcome) -> None:
    with pytest.raises(SlurmUnavailable):
        SqueueShapes([7]).parse(outcome)


@dataclass
class Shapes:
    """A cluster that says only what its jobs take up."""

    name: str = "hpc"
    asked: list[int] = field(default_factory=list)

    async def describe_jobs(self, slurm_ids: Sequence[int]) -> list[JobShape]:
        self.asked += slurm_ids
        return [JobShape(slurm_id=id_, user="alice", qos="normal", nodes=1, cpus=4) for id_ in slurm_ids]


@dataclass
class Office:
    """A job map, and the registrar that fills it; it can be put together anew, as by a new start."""

    core: CoreStandin
    client: CoreClient
    door: Door
    config: FacadeConfig
    now: float = 10_000
    cluster: Shapes = field(default_factory=Shapes)

    def registrar(self) -> Registrar:
        cluster = cast("Cluster", self.cluster)
        return Registrar(self.config, cluster, self.door, self.client, lambda: None, lambda: self.now)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_folder: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(core_folder, era="today") as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def office(core: CoreStandin, core_folder: Path, tmp_path: Path) -> AsyncIterator[Office]:
    made = config(tmp_path, core.url)
    (tmp_path / "refresh-token").write_text((core_folder / "refresh-token").read_text())
    door = await Door.open(tmp_path / "jobs.db", lambda: 10_000, lambda row: usage_of("example", row))
    await door.call(JobMap.map_user, CAROL)
    async with CoreClient(made.core) as client:
        office = Office(core, client, door, made)
        yield office
    await office.door.close()
    assert await core.violations() == []


async def test_an_outside_job_is_registered_once_and_then_tracked_as_ours(office: Office) -> None:
    job = outside(submit_time=9_000)
    for registrar in (office.registrar(), office.registrar()):
        for _ in range(2):
            await registrar.look([job])
    [row] = await office.core.registered(job.slurm_id)
    assert row["owner"] == {"createdBy": "carol", "project": None}
    assert row["specification"]["name"] == f"train (SlurmID: {job.slurm_id})"
    ours = await office.door.call(JobMap.job, row["id"])
    assert ours is not None
    assert (ours.in_slurm, ours.slurm_id, ours.local_user) == (True, job.slurm_id, "alice")
    assert ours.unit_price == 0


async def test_a_lost_answer_makes_no_second_registration(office: Office) -> None:
    job = outside(submit_time=9_000)
    lost = {"path": "control/register", "status": 502, "times": 1, "after": True}
    await office.core.behave(fail_next=[lost])
    with pytest.raises(CoreUnavailable):
        await office.registrar().look([job])
    await office.registrar().look([job])  # too soon: the first may still be on its way
    assert await office.door.call(lambda jobmap: jobmap.outside.ours("hpc", [job.slurm_id])) == {}
    office.now += 60
    requeued = live("PENDING", name="train", comment="", slurm_id=job.slurm_id, submit_time=9_500)
    await office.registrar().look([requeued])
    [row] = await office.core.registered(job.slurm_id)
    ours = await office.door.call(JobMap.job, row["id"])
    assert ours is not None
    assert ours.state is JobState.IN_QUEUE


async def test_the_end_of_a_job_whose_registration_had_no_answer_is_told(office: Office) -> None:
    registered, not_registered = outside(submit_time=9_000), outside(submit_time=9_000)
    for job, after in ((registered, True), (not_registered, False)):
        lost = {"path": "control/register", "status": 502, "times": 1, "after": after}
        await office.core.behave(fail_next=[lost])
        with pytest.raises(CoreUnavailable):
            await office.registrar().look([job])
    await office.registrar().look([])  # too soon
    assert await office.door.outbox(Outbox.undelivered, 10) == []
    office.now += 60
    for _ in range(2):
        await office.registrar().look([])
    [row] = await office.core.registered(registered.slurm_id)
    [told] = await office.door.outbox(Outbox.undelivered, 10)
    assert told.job_id == row["id"]
    assert '"state":"SUCCESS"' in told.body
    assert f"The job has ended (Slurm job {registered.slurm_id})" in told.body
    assert await office.core.registered(not_registered.slurm_id) == []


async def test_a_lost_job_map_makes_no_second_registration(office: Office, tmp_path: Path) -> None:
    job = outside(submit_time=9_000)
    await office.registrar().look([job])
    await office.door.close()
    (tmp_path / "jobs.db").unlink()
    office.door = await Door.open(tmp_path / "jobs.db", lambda: 10_000)
    await office.door.call(JobMap.map_user, CAROL)
    await office.registrar().look([job])
    assert len(await office.core.registered(job.slurm_id)) == 1
    assert await office.door.call(lambda jobmap: jobmap.outside.ours("hpc", [job.slurm_id])) == {
        job.slurm_id: None
    }


async def test_what_core_refuses_is_not_asked_again(office: Office) -> None:
    job = outside(submit_time=9_000)
    await office.core.behave(fail_next=[{"path": "control/register", "status": 400, "times": 1}])
    seq = await office.core.last_seq()
    for _ in range(2):
        await office.registrar().look([job])
    assert len(await office.core.received("control/register", since=seq)) == 1


async def test_jobs_of_others_and_of_no_product_stay_unknown(office: Office) -> None:
    unmapped, elsewhere = outside(user="bob"), outside(partition="else")
    registrar = office.registrar()
    for _ in range(2):
        await registrar.look([unmapped, elsewhere])
    assert office.cluster.asked == [elsewhere.slurm_id]
    ids = [unmapped.slurm_id, elsewhere.slurm_id]
    assert await office.door.call(lambda jobmap: jobmap.outside.ours("hpc", ids)) == {}
