"""Attempts under one Slurm id: each is tracked and charged once, and the user reads why."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

PRODUCT = """
[[products]]
category = "example-compute"
id = "{id}"
cluster = "hpc"
partition = "wide"
memory_gib = {memory_gib}
{more}
"""
PRODUCTS = "".join(
    PRODUCT.format(id=id_, memory_gib=memory_gib, more="\n".join(more))
    for id_, memory_gib, more in (
        ("example-compute-1", 0.1, ["requeue = true"]),
        ("fragile", 0.1, ['constraint = "fragile"', "requeue = true"]),
        ("victim", 6, ['constraint = "contested"', 'qos = "preemptible"', "requeue = true"]),
        ("preemptor", 6, ['constraint = "contested"']),
    )
)
ONCE_MORE = 'echo "run $SLURM_RESTART_COUNT"; [ -n "$SLURM_RESTART_COUNT" ] || sleep 600'
"""A script that only ends when Slurm has started it again."""
AGAIN = "again from the beginning (Slurm job"


@pytest.fixture(scope="module")
def _features(slurm: Slurm) -> Iterator[None]:
    """Nodes that only the products above ask for, by their features."""
    nodes = {"n5": "fragile", "n7": "fragile", "n6": "contested"}
    for node, feature in nodes.items():
        _set_feature(slurm, node, feature)
    yield
    for node in nodes:
        _set_feature(slurm, node, "")


def _set_feature(slurm: Slurm, node: str, name: str) -> None:
    features = (f"AvailableFeatures={name}", f"ActiveFeatures={name}")
    slurm.run("scontrol", "update", f"NodeName={node}", *features)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attempts(slurm: Slurm, _features: None) -> AsyncIterator[Stack]:
    await slurm.daemon("start", "n5", "n6")
    async with running_stack(fresh_folder("attempts"), Settings(products=PRODUCTS)) as stack:
        yield stack
        await stack.assert_ledger_is_right(slurm)
        assert await stack.core.violations() == []
    await slurm.daemon("start", "n5")  # it ends what the test below has left on it
    await slurm.daemon("stop", "n5", "n6", "n7")


async def _running(
    stack: Stack, product: str = "example-compute-1", script: str = ONCE_MORE
) -> tuple[str, str]:
    """Return the id of a job that runs, and Slurm's."""
    made = job(script, product=product)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    return made["id"], str(stack.overview(made["id"])["slurm_id"])


async def _assert_ran_twice(stack: Stack, job_id: str, *first: str) -> None:
    await stack.core.wait_update(job_id, state="SUCCESS", timeout=60)
    assert stack.output("alice", job_id) == "run \nrun 1\n"
    told = [update["state"] for update in await stack.updates(job_id) if update["state"]]
    assert told == ["RUNNING", "IN_QUEUE", "RUNNING", "SUCCESS"]
    attempts = [attempt["state"] for attempt in stack.overview(job_id)["attempts"]]
    assert attempts == [*first, "COMPLETED"]


async def test_a_job_that_an_admin_requeues_runs_again_from_the_beginning(
    attempts: Stack, slurm: Slurm
) -> None:
    job_id, slurm_id = await _running(attempts)
    first_start = (await attempts.core.job(job_id))["status"]["startedAt"]
    slurm.run("scontrol", "requeue", slurm_id)
    update = await attempts.core.wait_update(job_id, state="IN_QUEUE")
    assert AGAIN in update["status"]
    await slurm.start_now(slurm_id)
    await _assert_ran_twice(attempts, job_id, "REQUEUED")
    status = (await attempts.core.job(job_id))["status"]
    assert status["startedAt"] > first_start
    assert status["expiresAt"] - status["startedAt"] == 10 * 60_000


async def test_a_job_that_is_preempted_runs_again_and_its_user_reads_why(
    attempts: Stack, slurm: Slurm
) -> None:
    job_id, slurm_id = await _running(attempts, "victim")
    preemptor, _ = await _running(attempts, "preemptor", "sleep 1")
    await attempts.core.wait_update(job_id, state="IN_QUEUE")
    await attempts.core.wait_update(job_id, status="The job was preempted, to make room for one of higher")
    await attempts.core.wait_update(preemptor, state="SUCCESS")
    # On the only node that it may use: nothing of its first attempt is left there, or no other had run.
    slurm.run("scontrol", "update", f"JobId={slurm_id}", "StartTime=now")
    await _assert_ran_twice(attempts, job_id, "PREEMPTED")


async def test_a_job_whose_node_fails_runs_again_and_its_user_reads_which(
    attempts: Stack, slurm: Slurm
) -> None:
    job_id, slurm_id = await _running(attempts, "fragile")
    await slurm.daemon("kill", "n5")
    await attempts.core.wait_update(job_id, state="IN_QUEUE", timeout=60)
    await attempts.core.wait_update(job_id, status="The node n5 failed; Slurm starts the job again")
    await slurm.daemon("start", "n7")
    slurm.run("scontrol", "update", f"JobId={slurm_id}", "StartTime=now")
    await _assert_ran_twice(attempts, job_id, "NODE_FAIL")


async def test_a_requeued_job_that_is_terminated_while_it_waits_has_ended(
    attempts: Stack, slurm: Slurm
) -> None:
    job_id, slurm_id = await _running(attempts)
    slurm.run("scontrol", "requeue", slurm_id)
    await attempts.core.wait_update(job_id, state="IN_QUEUE")
    await attempts.core.call("jobs/terminate", bulk(await attempts.core.job(job_id)), user="user")
    await attempts.core.wait_update(job_id, state="SUCCESS", status="cancelled by user")
    attempts_ = [attempt["state"] for attempt in attempts.overview(job_id)["attempts"]]
    assert attempts_ == ["REQUEUED", "CANCELLED"]


@pytest.mark.parametrize("when", ["before the first look", "while it runs"])
async def test_renaming_and_requeueing_a_job_evades_no_charge(
    attempts: Stack, slurm: Slurm, when: str
) -> None:
    evade = "scontrol update JobId=$SLURM_JOB_ID JobName=mine Comment=mine; scontrol requeue $SLURM_JOB_ID"
    script = f'[ -n "$SLURM_RESTART_COUNT" ] && exit; {evade}; sleep 600'
    if when == "while it runs":
        job_id, slurm_id = await _running(attempts, script='[ -n "$SLURM_RESTART_COUNT" ] || sleep 600')
        slurm.run("scontrol", "update", f"JobId={slurm_id}", "JobName=mine", "Comment=mine", user="alice")
        slurm.run("scontrol", "requeue", slurm_id, user="alice")
    else:
        made = job(script, product="example-compute-1")
        await attempts.core.create(bulk(made))
        job_id, slurm_id = made["id"], str(attempts.overview(made["id"])["slurm_id"])
    await attempts.core.wait_update(job_id, status=AGAIN)
    await slurm.start_now(slurm_id)
    await attempts.core.wait_update(job_id, state="SUCCESS", timeout=60)
    found = [attempt["state"] for attempt in attempts.overview(job_id)["attempts"]]
    assert found == ["REQUEUED", "COMPLETED"]


async def test_a_job_may_not_be_requeued_unless_its_user_or_the_site_wants_it(
    stack: Stack, slurm: Slurm
) -> None:
    for restart_on_exit, requeue in ((None, "0"), (False, "0"), (True, "1")):
        made = job("true", restartOnExit=restart_on_exit)
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="SUCCESS")
        slurm_id = str(stack.overview(made["id"])["slurm_id"])
        assert f" Requeue={requeue} " in slurm.run("scontrol", "--oneliner", "show", "job", slurm_id)
