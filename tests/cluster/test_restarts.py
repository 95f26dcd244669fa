"""restartOnExit: after an end that allows it, a `create` with the same id starts the job anew, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarts(slurm: Slurm) -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("restarts"), Settings()) as stack:
        yield stack
        await stack.assert_ledger_is_right(slurm)
        played = "no answer within 5 s"  # by a façade that a test has killed
        assert [v for v in await stack.core.violations() if v["what"] != played] == []


def restartable(script: str) -> Any:
    return job(script, restartOnExit=True)


async def _ended_once(stack: Stack, script: str = "echo run") -> Any:
    """Return a job that has ended, as its user wants it to be started again."""
    made = restartable(script)
    await stack.core.create(bulk(made))
    await _wait_for_end(stack, made)
    return made


async def _wait_for_end(stack: Stack, made: Any, since: int = 0) -> dict[str, Any]:
    return await stack.core.wait_update(made["id"], state="SUCCESS", since=since, timeout=60)


def _jobs_in_slurm(slurm: Slurm, made: Any) -> int:
    return len(slurm.jobs_named(made["id"]))


async def _states(stack: Stack, made: Any) -> list[str]:
    return [update["state"] for update in await stack.updates(made["id"]) if update["state"]]


async def test_a_job_is_started_anew_by_a_create_after_its_end(restarts: Stack, slurm: Slurm) -> None:
    made = await _ended_once(restarts)
    assert (await _wait_for_end(restarts, made))["allowRestart"] is True
    for restart in (1, 2):
        seq = await restarts.core.last_seq()
        answer = await restarts.core.create(bulk(made))
        assert (answer["status"], answer["body"]) == (200, {"responses": [None]})
        await _wait_for_end(restarts, made, seq)
        assert _jobs_in_slurm(slurm, made) == restart + 1
    assert restarts.output("alice", made["id"]) == "run\n" * 3
    assert await _states(restarts, made) == ["RUNNING", "SUCCESS", *["IN_QUEUE", "RUNNING", "SUCCESS"] * 2]
    charges = [c["charge_id"] for c in await restarts.core.charges() if c["job_id"] == made["id"]]
    prefix = f"example-{made['id']}"
    assert set(charges) <= {f"{prefix}-0-1", f"{prefix}-r1-0-1", f"{prefix}-r2-0-1"}


async def test_a_restart_that_is_asked_for_several_times_is_one(restarts: Stack, slurm: Slurm) -> None:
    made = await _ended_once(restarts, "[ -e again ] && sleep 600; touch again")
    seq = await restarts.core.last_seq()
    await asyncio.gather(*(restarts.core.create(bulk(made)) for _ in range(5)))
    await restarts.core.create(bulk(made, made))
    await restarts.core.wait_update(made["id"], state="RUNNING", since=seq)
    await restarts.core.create(bulk(made))
    assert _jobs_in_slurm(slurm, made) == 2
    await restarts.core.call("jobs/terminate", bulk(made), user="user")
    end = await _wait_for_end(restarts, made, seq)
    assert end["allowRestart"] is False


async def test_a_job_that_its_user_has_terminated_is_not_started_again(restarts: Stack, slurm: Slurm) -> None:
    made = restartable("sleep 600")
    await restarts.core.create(bulk(made))
    await restarts.core.wait_update(made["id"], state="RUNNING")
    await restarts.core.call("jobs/terminate", bulk(made), user="user")
    await _wait_for_end(restarts, made)
    seq = await restarts.core.last_seq()
    assert (await restarts.core.create(bulk(made)))["status"] == 200
    repeated = await _wait_for_end(restarts, made, seq)
    assert (repeated["status"], repeated["allowRestart"]) == ("The job was cancelled by user", False)
    assert _jobs_in_slurm(slurm, made) == 1


async def test_every_second_of_a_job_that_is_suspended_requeued_and_restarted_is_charged_once(
    restarts: Stack, slurm: Slurm
) -> None:
    made = restartable('[ -n "$SLURM_RESTART_COUNT" ] && exit 3; sleep 600')
    for restart in (0, 1):
        seq = await restarts.core.last_seq()
        await restarts.core.create(bulk(made))
        await restarts.core.wait_update(made["id"], state="RUNNING", since=seq)
        slurm_id = str(restarts.overview(made["id"])["slurm_id"])
        await slurm.running_in_accounting(f"{made['id']}-r1" if restart else made["id"])
        slurm.backdate(slurm_id, 900 + 60 * restart)
        slurm.run("scontrol", "suspend", slurm_id)
        await restarts.core.wait_update(made["id"], state="SUSPENDED", since=seq)
        slurm.run("scontrol", "resume", slurm_id)
        slurm.run("scontrol", "requeue", slurm_id)
        await restarts.core.wait_update(made["id"], state="IN_QUEUE", since=seq, timeout=60)
        if restart:
            await restarts.core.call("jobs/terminate", bulk(made), user="user")
        else:
            await slurm.start_now(slurm_id)
        await _wait_for_end(restarts, made, seq)
    attempts = [(a["restart"], a["state"]) for a in restarts.overview(made["id"])["attempts"]]
    # Slurm has no record of a job that is cancelled while it is put back into the queue.
    assert attempts[:3] == [(0, "REQUEUED"), (0, "FAILED"), (1, "REQUEUED")]
    assert _jobs_in_slurm(slurm, made) == 2


async def test_a_job_without_restarts_is_not_started_again(restarts: Stack, slurm: Slurm) -> None:
    made = job("echo run")
    await restarts.core.create(bulk(made))
    await _wait_for_end(restarts, made)
    assert (await restarts.core.create(bulk(made)))["status"] == 200
    assert restarts.overview(made["id"])["state"] == "SUCCESS"
    assert _jobs_in_slurm(slurm, made) == 1


async def test_a_facade_killed_while_it_restarts_a_job_goes_on_at_its_next_start(
    restarts: Stack, slurm: Slurm
) -> None:
    made = await _ended_once(restarts)
    seq = await restarts.core.last_seq()
    creating = asyncio.create_task(restarts.core.create(bulk(made)))
    await restarts.wait_for_log("sidecar", f"uc-{made['id']}-r1-")
    await restarts.facade.kill()
    await creating
    await restarts.facade.start()
    await restarts.core.create(bulk(made))
    await _wait_for_end(restarts, made, seq)
    assert _jobs_in_slurm(slurm, made) == 2
    assert restarts.output("alice", made["id"]) == "run\n" * 2


async def test_a_restart_that_sbatch_timed_out_on_but_slurm_accepted_is_adopted(
    restarts: Stack, slurm: Slurm
) -> None:
    made = await _ended_once(restarts)
    seq = await restarts.core.last_seq()
    await slurm.daemon("pause", "slurmctld")
    try:
        assert (await restarts.core.create(bulk(made)))["status"] == 200
        await restarts.wait_for_log("sidecar", "Socket timed out")
        assert (await restarts.core.create(bulk(made)))["status"] == 200
    finally:
        await slurm.daemon("resume", "slurmctld")
    await _wait_for_end(restarts, made, seq)
    assert _jobs_in_slurm(slurm, made) == 2


async def test_with_a_lost_job_map_the_latest_restart_is_adopted_and_all_are_charged_the_same(
    slurm: Slurm,
) -> None:
    async with running_stack(fresh_folder("lost-restarts")) as stack:
        made = await _ended_once(stack, "[ -e again ] && sleep 600; touch again; sleep 1")
        seq = await stack.core.last_seq()
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="RUNNING", since=seq)
        await slurm.running_in_accounting(f"{made['id']}-r1")
        before = stack.overview(made["id"])

        await stack.facade.kill()
        for path in stack.jobmap_path.parent.iterdir():
            path.unlink()
        stack.map_people()
        await stack.facade.start()
        seq = await stack.core.last_seq()
        await asyncio.gather(*(stack.core.create(bulk(made)) for _ in range(2)))
        verify = {"items": [made | {"status": {"state": "RUNNING"}}]}
        assert (await stack.core.call("jobs/verify", verify))["status"] == 200
        await stack.core.wait_update(made["id"], state="RUNNING", since=seq)
        after = stack.overview(made["id"])
        assert after["slurm_id"] == before["slurm_id"]
        assert [charge["charge_id"] for charge in after["charges"]] == [f"example-{made['id']}-0-1"]
        await stack.core.call("jobs/terminate", bulk(made), user="user")
        await _wait_for_end(stack, made, seq)
        assert _jobs_in_slurm(slurm, made) == 2
        await stack.assert_ledger_is_right(slurm)
        charged = await stack.core.charges()
        assert [charge["charge_id"] for charge in charged] == [
            f"example-{made['id']}-0-1",
            f"example-{made['id']}-r1-0-1",
        ]
        assert await stack.core.violations() == []
