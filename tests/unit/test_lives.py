"""Whatever happens to a job, in any order: each start is charged once, and Core ends up knowing how it is."""

import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from slurm_provider.config import Era
from slurm_provider.facade.jobs import _wish_to_end
from slurm_provider.jobmap import JobChange, JobMap, JobRow, OutboxItem, OutboxKind, Submission
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.observation import Look, Rules, observe
from slurm_provider.tracker.restarts import may_restart, repeated, restarted
from slurm_provider.tracker.usage import usage_of
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job

RULES = Rules("example", Era.TODAY, absence_grace_seconds=30, lost_after_seconds=3600)
TAGGER = Tagger("example", "secret")
JOB = "54112"
REPLICAS = 2


@dataclass
class Core:
    """What Core has been told."""

    state: JobState = JobState.IN_QUEUE
    may_create: bool = False
    totals: dict[str, list[int]] = field(default_factory=dict)

    def take(self, item: OutboxItem) -> None:
        body = json.loads(item.body)
        if item.kind is OutboxKind.USAGE:
            self.totals.setdefault(body["description"]["scope"], []).append(body["usage"])
            return
        update = body["update"]
        if update["state"] and (JobState(update["state"]).is_final or not self.state.is_final):
            self.state = JobState(update["state"])
        if update["allowRestart"] is not None:
            self.may_create = update["allowRestart"]


@dataclass
class Slurm:
    """The attempts of each Slurm job of one UCloud job."""

    starts: list[list[AccountingRecord]] = field(default_factory=list)
    now: int = 1000

    @property
    def last(self) -> AccountingRecord:
        return self.starts[-1][-1]

    @property
    def runs(self) -> bool:
        return bool(self.starts) and not self.last.end_time

    def submit(self) -> None:
        self.starts.append([])
        self._attempt()

    def _attempt(self) -> None:
        self.now += 5
        slurm_id = 76 + len(self.starts)
        attempt = AccountingRecord(slurm_id=slurm_id, user="alice", state="RUNNING", node_list="n1")
        attempt.submit_time = attempt.start_time = self.now
        self.starts[-1].append(attempt)

    def use(self, seconds: int) -> None:
        if self.runs:
            self.now += seconds
            self.last.elapsed_seconds += seconds

    def end(self, state: str) -> None:
        if self.runs:
            self.last.state, self.last.end_time = state, self.now

    def requeue(self) -> None:
        if self.runs:
            self.end("REQUEUED")
            self._attempt()

    def live(self) -> LiveJob | None:
        if not self.runs:
            return None
        live = LiveJob(slurm_id=self.last.slurm_id, user="alice", state="RUNNING")
        live.submit_time = live.start_time = self.last.submit_time
        return live


class World:
    """One job between Core, which asks again whenever it may, and Slurm."""

    def __init__(self, path: Path) -> None:
        self.path, self.core, self.slurm = path, Core(), Slurm()
        self.jobmap = self._open()
        self.jobmap.add_jobs([(self._new(0), JobChange(JOB))])

    def _open(self) -> JobMap:
        return JobMap(self.path, lambda: 5000, partial(usage_of, "example"))

    def _new(self, restart: int) -> JobRow:
        facts = {"submission": Submission.INTENT, "slurm_id": None, "submitted_at": None}
        row = replace(job(), **facts, replicas=REPLICAS, unit_price=1)  # type: ignore[arg-type]
        return replace(row, restart=restart, tag=TAGGER.tag(JOB, restart), allow_restart=True)

    @property
    def row(self) -> JobRow:
        row = self.jobmap.job(JOB)
        assert row is not None
        return row

    def submit(self) -> None:
        if self.row.submission is Submission.INTENT and not self.row.state.is_final:
            self.slurm.submit()
            columns = {"submission": Submission.SUBMITTED, "slurm_id": self.slurm.last.slurm_id}
            self.jobmap.apply([JobChange(JOB, columns | {"submitted_at": self.slurm.now})])

    def look(self) -> None:
        self._look(complete=False)

    def look_at_accounting(self) -> None:
        self._look(complete=True)

    def _look(self, *, complete: bool) -> None:
        if not self.row.in_slurm:
            return
        live = self.slurm.live()
        records = self.slurm.starts[-1] if complete or live is None else None
        attempts = self.jobmap.attempts("hpc").get(JOB, [])
        look = Look(live=live, records=records, attempts=attempts)
        self.jobmap.change_open_jobs("hpc", lambda row: observe(row, look, RULES, self.slurm.now))
        if self.row.wished_state is not None:
            self.slurm.end("CANCELLED")

    def deliver(self) -> None:
        self._deliver(heard=True)

    def deliver_without_an_answer(self) -> None:
        self._deliver(heard=False)

    def _deliver(self, *, heard: bool) -> None:
        items = self.jobmap.outbox.undelivered(100)
        self.jobmap.offer_restarts([item for item in items if item.kind is OutboxKind.UPDATE])
        for item in items:
            self.core.take(item)
        if heard:
            self.jobmap.outbox.delivered(items)

    def create(self) -> None:
        """Core asks for a restart, if it may; the call may also be one that is repeated."""
        restart, may_create = self.row.restart, self.core.state.is_final and self.core.may_create
        if may_create:
            self.core.state, self.core.may_create = JobState.IN_QUEUE, False
        anew = self._new(self.row.restart + 1)
        decide = partial(restarted, anew=anew, change=JobChange(JOB)) if may_restart(self.row) else repeated
        self.jobmap.change_job(JOB, decide)
        assert may_create or self.row.restart == restart

    def terminate(self) -> None:
        self.jobmap.change_job(JOB, partial(_wish_to_end, user="user", era=Era.TODAY))

    def kill(self) -> None:
        self.jobmap.close()
        self.jobmap = self._open()

    def requeue(self) -> None:
        self.slurm.requeue()

    def use(self) -> None:
        self.slurm.use(437)

    def finish(self) -> None:
        self.slurm.end("COMPLETED")

    def settle(self) -> None:
        """Let everything that was begun come to rest, while Core goes on to ask for what it may."""
        for _ in range(2):
            self.deliver()
            if self.core.state.is_final and self.core.may_create and not self.row.state.is_final:
                self.create()
            self.submit()
            self.look_at_accounting()
        self.deliver()

    def end(self) -> None:
        """Let the job end, if it has not."""
        for _ in range(2):
            self.slurm.end("NODE_FAIL")
            self.look_at_accounting()
        self.deliver()


EVENTS = (
    *(World.submit, World.look, World.look_at_accounting, World.deliver, World.deliver_without_an_answer),
    *(World.create, World.terminate, World.kill, World.requeue, World.use, World.finish),
)
ONE_LIFE = (World.submit, World.use, World.finish, World.look, World.deliver_without_an_answer, World.create)


@settings(max_examples=150, deadline=None)
@example([*ONE_LIFE * 3, World.terminate])
@example([*ONE_LIFE, World.submit, World.look])
@example([World.submit, World.use, World.finish, World.look, World.create])
@example([*ONE_LIFE, World.kill, World.requeue, World.create, World.terminate, World.create])
@given(st.lists(st.sampled_from(EVENTS), min_size=8, max_size=40))
def test_each_start_is_charged_once_and_core_knows_how_the_job_is(events: list[object]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "jobs.db")
        for event in events:
            event(world)  # type: ignore[operator]
        world.settle()
        assert world.core.state is world.row.state
        world.end()
        assert len(world.slurm.starts) == world.row.restart + 1
        for restart, attempts in enumerate(world.slurm.starts):
            scope = f"example-{JOB}" + (f"-r{restart}" if restart else "")
            minutes = -(-sum(attempt.elapsed_seconds for attempt in attempts) // 60)
            totals = world.core.totals.get(scope, [0])
            assert totals[-1] == minutes * REPLICAS
            assert totals == sorted(totals)
        assert world.core.state is world.row.state
        world.jobmap.close()
