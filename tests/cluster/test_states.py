"""Every state that Slurm's jobs can be in here, made for real, and what its user reads.

All jobs are made at once, so that their waits pass together.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

FIRST = """
[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
"""
WIDE = """
[[products]]
category = "example-compute"
id = "{id}"
cluster = "hpc"
partition = "wide"
memory_gib = {memory_gib}
constraint = "{feature}"
{more}
"""
PRODUCTS = FIRST + "".join(
    WIDE.format(id=id_, memory_gib=memory_gib, feature=feature, more="\n".join(more))
    for id_, memory_gib, feature, more in (
        ("failing", 0.1, "failing", ()),
        ("full", 6, "full", ()),
        ("victim", 6, "taken", ['qos = "preemptible"']),
        ("preemptor", 6, "taken", ()),
    )
)
NODES = {"n8": "failing", "n9": "full", "n10": "taken"}
MINUTE = {"hours": 0, "minutes": 1, "seconds": 0}


@dataclass(frozen=True)
class States:
    """A provider, and jobs that go through all states."""

    stack: Stack
    slurm: Slurm

    async def create(self, script: str, **facts: Any) -> str:
        """Create a job; return its id."""
        made = job(script, **facts)
        await self.stack.core.create(bulk(made))
        return str(made["id"])

    async def run(self, script: str = "sleep 600", **facts: Any) -> tuple[str, str]:
        """Create a job that runs; return its id and Slurm's."""
        job_id = await self.create(script, **facts)
        await self.stack.core.wait_update(job_id, state="RUNNING", timeout=60)
        return job_id, self.slurm_id(job_id)

    def slurm_id(self, job_id: str) -> str:
        """Return Slurm's id of a job."""
        return str(self.stack.overview(job_id)["slurm_id"])

    async def read(self, job_id: str, state: str | None = None, status: str | None = None) -> str:
        """Return what the user reads when the job comes into this state."""
        update = await self.stack.core.wait_update(job_id, state=state, status=status, timeout=120)
        return str(update["status"])

    async def told(self, job_id: str) -> list[str]:
        """Return the states that Core was told, in order."""
        return [update["state"] for update in await self.stack.updates(job_id) if update["state"]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def states(slurm: Slurm) -> AsyncIterator[States]:
    for node, feature in NODES.items():
        _set_feature(slurm, node, feature)
    await slurm.daemon("start", *NODES)
    async with running_stack(fresh_folder("states"), Settings(products=PRODUCTS)) as stack:
        yield States(stack, slurm)
        await stack.assert_ledger_is_right(slurm)
        assert await stack.core.violations() == []
    await slurm.daemon("start", "n8")  # it ends what a test has left on it
    await slurm.daemon("stop", *NODES)
    for node in NODES:
        _set_feature(slurm, node, "")


def _set_feature(slurm: Slurm, node: str, name: str) -> None:
    features = (f"AvailableFeatures={name}", f"ActiveFeatures={name}")
    slurm.run("scontrol", "update", f"NodeName={node}", *features)


async def completed(states: States) -> None:
    """COMPLETED."""
    job_id = await states.create("true")
    assert await states.read(job_id, "SUCCESS") == "The job has finished processing!"


async def failed(states: States) -> None:
    """FAILED, by an exit code and by a signal."""
    with_code, with_signal = await states.create("exit 3"), await states.create("kill -SEGV $$")
    assert "finished with exit code 3 (Slurm job" in await states.read(with_code, "SUCCESS")
    assert "ended by signal 11 (SIGSEGV) (Slurm job" in await states.read(with_signal, "SUCCESS")


async def cancelled(states: States) -> None:
    """CANCELLED, by its owner and by an administrator, behind the provider's back."""
    for user, by in (("alice", "its owner"), (None, "an administrator")):
        job_id, slurm_id = await states.run()
        states.slurm.run("scancel", slurm_id, user=user)
        assert f"cancelled by {by} (Slurm job {slurm_id})" in await states.read(job_id, "SUCCESS")


async def timeout(states: States) -> None:
    """TIMEOUT."""
    job_id, slurm_id = await states.run(timeAllocation=MINUTE)
    words = f"The job has used up its time allocation (Slurm job {slurm_id})"
    assert await states.read(job_id, "EXPIRED") == words


async def deadline(states: States, _blocked: str) -> None:
    """DEADLINE: a job that waits and could not finish in time any more."""
    job_id = await states.create("true", product="full")
    await states.read(job_id, status="in the queue")
    slurm_id = states.slurm_id(job_id)
    states.slurm.run("scontrol", "update", f"JobId={slurm_id}", "Deadline=now+30")
    assert "could not finish before its deadline" in await states.read(job_id, "EXPIRED")
    assert await states.told(job_id) == ["EXPIRED"]


async def node_fail(states: States) -> None:
    """NODE_FAIL of a job that Slurm may not start again."""
    job_id, slurm_id = await states.run(product="failing")
    await states.slurm.daemon("kill", "n8")
    words = f"The job was ended because the node n8 failed (Slurm job {slurm_id})"
    assert await states.read(job_id, "FAILURE") == words


async def preempted(states: States) -> None:
    """PREEMPTED, of a job that Slurm may not start again."""
    victim, slurm_id = await states.run(product="victim")
    preemptor = await states.create("true", product="preemptor")
    why = "it was ended to make room for one of higher priority"
    assert await states.read(victim, "FAILURE") == f"The job was preempted: {why} (Slurm job {slurm_id})"
    await states.read(preemptor, "SUCCESS")


async def suspended(states: States) -> None:
    """SUSPENDED by an administrator, STOPPED by its owner, and RUNNING again."""
    job_id, slurm_id = await states.run()
    stop = ("scancel", "--signal=STOP", slurm_id)
    go_on = ("scancel", "--signal=CONT", slurm_id)
    for pause, resume, user in (
        (("scontrol", "suspend", slurm_id), ("scontrol", "resume", slurm_id), None),
        (stop, go_on, "alice"),
    ):
        seq = await states.stack.core.last_seq()
        states.slurm.run(*pause, user=user)
        await states.stack.core.wait_update(job_id, state="SUSPENDED", since=seq)
        states.slurm.run(*resume, user=user)
        await states.stack.core.wait_update(job_id, state="RUNNING", status="continues", since=seq)
    states.slurm.run("scancel", slurm_id)
    await states.read(job_id, "SUCCESS")


async def special_exit(states: States) -> None:
    """SPECIAL_EXIT and REQUEUE_HOLD: requeued and held, then released."""
    for arguments in (["State=SpecialExit"], []):
        made = job('[ -n "$SLURM_RESTART_COUNT" ] || sleep 600', restartOnExit=True)
        await states.stack.core.create(bulk(made))
        await states.read(made["id"], "RUNNING")
        slurm_id = states.slurm_id(made["id"])
        states.slurm.run("scontrol", "requeuehold", *arguments, slurm_id)
        await states.read(made["id"], "SUSPENDED")
        states.slurm.run("scontrol", "release", slurm_id)
        await states.slurm.start_now(slurm_id)
        await states.read(made["id"], "SUCCESS")
        assert [attempt["state"] for attempt in states.stack.overview(made["id"])["attempts"]] == [
            "REQUEUED",
            "COMPLETED",
        ]


async def held(states: States, _blocked: str) -> None:
    """PENDING, held by an administrator, and released."""
    job_id = await states.create("true", product="full")
    await states.read(job_id, status="in the queue")
    slurm_id = states.slurm_id(job_id)
    states.slurm.run("scontrol", "hold", slurm_id)
    assert "An administrator holds the job" in await states.read(job_id, "SUSPENDED")
    states.slurm.run("scontrol", "release", slurm_id)
    await states.read(job_id, "IN_QUEUE")
    states.slurm.run("scancel", slurm_id)
    await states.read(job_id, "SUCCESS")


async def waiting(states: States, blocked: str) -> None:
    """PENDING for want of resources, behind other jobs, and for another job."""
    jobs = [await states.create("true", product="full") for _ in range(3)]
    await states.read(jobs[2], status="in the queue")
    after = f"Dependency=afterany:{states.slurm_id(blocked)}"
    states.slurm.run("scontrol", "update", f"JobId={states.slurm_id(jobs[2])}", after)
    words = [await states.read(job_id, status="Waiting: ") for job_id in jobs[:2]]
    assert any("(Resources); expected to start about " in text for text in words)
    assert any("other jobs are ahead in the queue (Priority)" in text for text in words)
    await states.read(jobs[2], status="it depends on another job that has not ended (Dependency)")
    for job_id in jobs:
        states.slurm.run("scancel", states.slurm_id(job_id))
        await states.read(job_id, "SUCCESS")


STATES: tuple[Callable[[States], Awaitable[None]], ...] = (
    completed,
    failed,
    cancelled,
    timeout,
    node_fail,
    preempted,
    suspended,
    special_exit,
)
STATES_OF_WAITING: tuple[Callable[[States, str], Awaitable[None]], ...] = (waiting, held, deadline)
NAMES = [state.__name__ for state in (*STATES, *STATES_OF_WAITING)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(states: States) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    """All states, being made at the same time."""
    blocked, slurm_id = await states.run(product="full")
    tasks = {state.__name__: asyncio.ensure_future(state(states)) for state in STATES}
    tasks |= {state.__name__: asyncio.ensure_future(state(states, blocked)) for state in STATES_OF_WAITING}
    yield tasks
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    states.slurm.run("scancel", slurm_id)
    await states.read(blocked, "SUCCESS")


@pytest.mark.parametrize("state", NAMES)
async def test_a_state_that_slurm_can_make_here_is_told_in_words(
    seen: Mapping[str, asyncio.Task[None]], state: str
) -> None:
    await seen[state]
