"""Each job is submitted once, whatever is repeated, late or away."""

import asyncio
import signal

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.proxy import bad_road
from tests.support.slurm import Slurm
from tests.support.stack import Stack, running_stack


async def _assert_ran_once(stack: Stack, slurm: Slurm, job_id: str) -> None:
    await stack.core.wait_update(job_id, state="SUCCESS", timeout=60)
    await slurm.recorded(job_id)
    assert len(slurm.accounting(job_id)) == 1
    assert stack.output("alice", job_id) == "once\n"


async def test_a_second_create_with_the_same_id_submits_nothing(stack: Stack, slurm: Slurm) -> None:
    made = job("echo once")
    answers = await asyncio.gather(*(stack.core.create(bulk(made)) for _ in range(5)))
    answers.append(await stack.core.create(bulk(made, made)))
    assert {answer["status"] for answer in answers} == {200}
    await _assert_ran_once(stack, slurm, made["id"])
    assert (await stack.core.create(bulk(made)))["body"] == {"responses": [None]}
    assert len(slurm.accounting(made["id"])) == 1


@pytest.mark.parametrize("status", [449, 503])
async def test_a_create_that_core_replays_submits_once(stack: Stack, slurm: Slurm, status: int) -> None:
    made = job("echo once")
    async with bad_road(stack.url, [status, status]) as road:
        await stack.core.behave(provider_url=road.url)
        try:
            answer = await stack.core.create(bulk(made))
        finally:
            await stack.core.behave(provider_url=stack.url)
    assert answer["status"] == 200
    assert road.forwarded.count("/ucloud/example/jobs") == 3
    await _assert_ran_once(stack, slurm, made["id"])


async def test_a_create_that_core_gave_up_on_and_repeats_submits_once(stack: Stack, slurm: Slurm) -> None:
    made = job("echo once")
    stack.facade.send(signal.SIGSTOP)
    try:
        answer = await stack.core.create(bulk(made))
    finally:
        stack.facade.send(signal.SIGCONT)
    assert answer["error"] == "timeout"
    assert (await stack.core.create(bulk(made)))["status"] == 200
    await _assert_ran_once(stack, slurm, made["id"])


async def test_what_sbatch_timed_out_on_but_slurm_accepted_is_adopted(stack: Stack, slurm: Slurm) -> None:
    made = job("echo once")
    await slurm.daemon("pause", "slurmctld")
    try:
        answer = await stack.core.create(bulk(made))
        assert (answer["status"], answer["body"]) == (200, {"responses": [None]})
        await stack.wait_for_log("sidecar", "Socket timed out")
    finally:
        await slurm.daemon("resume", "slurmctld")
    await _assert_ran_once(stack, slurm, made["id"])


async def test_a_job_created_while_slurm_is_away_is_submitted_when_it_is_back(
    stack: Stack, slurm: Slurm
) -> None:
    made = job("echo once")
    await slurm.daemon("stop", "slurmctld")
    try:
        answer = await stack.core.create(bulk(made))
        assert answer["status"] == 200
        assert answer["seconds"] < 5
    finally:
        await slurm.daemon("start", "slurmctld")
    await _assert_ran_once(stack, slurm, made["id"])


async def test_a_job_created_while_the_sidecar_is_away_is_submitted_when_it_is_back(
    stack: Stack, slurm: Slurm
) -> None:
    made = job("echo once")
    await stack.sidecar.kill()
    try:
        assert (await stack.core.create(bulk(made)))["status"] == 200
    finally:
        await stack.sidecar.start()
    await _assert_ran_once(stack, slurm, made["id"])


async def test_a_facade_killed_while_it_submits_goes_on_at_its_next_start(stack: Stack, slurm: Slurm) -> None:
    made = job("echo once")
    creating = asyncio.create_task(stack.core.create(bulk(made)))
    await stack.wait_for_log("sidecar", made["id"])
    await stack.facade.kill()
    await creating
    await stack.facade.start()
    await stack.core.add_jobs(made)
    await _assert_ran_once(stack, slurm, made["id"])


async def test_no_answer_of_slurm_ends_no_job(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    for daemon in ("slurmdbd", "slurmctld"):
        await slurm.daemon("stop", daemon)
        await stack.wait_for_log("facade", "tick without an answer|accounting not read")
        await slurm.daemon("start", daemon)
    assert [update["state"] for update in await stack.updates(made["id"]) if update["state"]] == ["RUNNING"]
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_with_a_lost_job_map_a_job_is_adopted_and_charged_the_same(slurm: Slurm) -> None:
    async with running_stack(fresh_folder("lost-job-map")) as stack:
        made = job("sleep 600", replicas=2)
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="RUNNING")
        await slurm.running_in_accounting(made["id"])
        slurm.backdate(stack.overview(made["id"])["slurm_id"], 900)
        before = (await stack.core.wait("chargeCredits", job=made["id"], timeout=60))["item"]

        await stack.facade.kill()
        for path in stack.jobmap_path.parent.iterdir():
            path.unlink()
        stack.map_people()
        await stack.facade.start()
        seq = await stack.core.last_seq()
        verify = {"items": [made | {"status": {"state": "RUNNING"}}]}
        assert (await stack.core.call("jobs/verify", verify))["status"] == 200
        again = (await stack.core.wait("chargeCredits", job=made["id"], since=seq, timeout=60))["item"]
        assert again == before

        assert (await stack.core.create(bulk(made)))["status"] == 200
        await stack.core.call("jobs/terminate", bulk(made), user="user")
        await stack.core.wait_update(made["id"], state="SUCCESS")
        assert len(slurm.accounting(made["id"])) == 1
        await stack.assert_ledger_is_right(slurm)
        assert await stack.core.violations() == []
