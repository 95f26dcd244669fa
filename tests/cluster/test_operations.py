"""More time, pauses and going on, on the real cluster."""

from typing import Any

from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Stack


def _extend(made: Any, **time: int) -> Any:
    return bulk({"job": made, "requestedTime": {"hours": 0, "minutes": 0, "seconds": 0} | time})


async def _end(stack: Stack, made: Any) -> None:
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_extend_adds_to_the_time_of_a_running_job(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    reply = await stack.core.call("jobs/extend", _extend(made, hours=2), user="user")
    assert (reply["status"], reply["body"]) == (200, {"responses": [{}]})
    await stack.wait_for_update(made["id"], newTimeAllocation=130 * 60_000)
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    assert slurm.run("squeue", "-h", "-j", slurm_id, "-o", "%l").strip() == "2:10:00"
    row = await stack.core.job(made["id"])
    assert row["status"]["expiresAt"] - row["status"]["startedAt"] == 130 * 60_000
    await _end(stack, made)


async def test_extend_past_the_partitions_limit_is_refused_in_words(stack: Stack) -> None:
    made = job("sleep 600", product="short", timeAllocation={"hours": 0, "minutes": 2, "seconds": 0})
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    reply = await stack.core.call("jobs/extend", _extend(made, minutes=10), user="user")
    assert reply["status"] == 400
    assert reply["body"]["why"] == ("the job asks for 12 min, but the partition 'short' allows at most 5 min")
    await _end(stack, made)


async def test_suspend_stops_a_job_and_unsuspend_lets_it_go_on_unbilled(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    reply = await stack.core.call("jobs/suspend", bulk({"job": made}), user="user")
    assert reply["status"] == 200
    await stack.core.wait_update(made["id"], state="SUSPENDED")
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    assert slurm.run("squeue", "-h", "-j", slurm_id, "-o", "%T").strip() == "SUSPENDED"
    seq = await stack.core.last_seq()
    reply = await stack.core.call("jobs/unsuspend", bulk({"job": made}), user="user")
    assert reply["status"] == 200
    await stack.core.wait_update(made["id"], state="RUNNING", since=seq)
    await _end(stack, made)


async def test_suspend_holds_a_waiting_job_and_unsuspend_releases_it(stack: Stack, slurm: Slurm) -> None:
    made = job("true")
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        await stack.core.create(bulk(made))
        await stack.core.call("jobs/suspend", bulk({"job": made}), user="user")
        await stack.core.wait_update(made["id"], state="SUSPENDED")
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    await stack.core.call("jobs/unsuspend", bulk({"job": made}), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_a_product_can_give_its_nodes_back_while_suspended(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600", product="requeued")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    await stack.core.call("jobs/suspend", bulk({"job": made}), user="user")
    await stack.core.wait_update(made["id"], state="SUSPENDED")
    assert "from the beginning" not in str(await stack.updates(made["id"]))
    seq = await stack.core.last_seq()
    await stack.core.call("jobs/unsuspend", bulk({"job": made}), user="user")
    await stack.core.wait_update(made["id"], state="RUNNING", since=seq, timeout=40)
    await _end(stack, made)
    assert len(stack.overview(made["id"])["attempts"]) == 2


async def test_retrieve_utilization_counts_cores_memory_and_jobs(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600", replicas=2)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    path = "jobs/retrieveUtilization?categoryId=example-compute"
    answer = await stack.core.call(path, method="GET")
    assert answer["status"] == 200
    body = answer["body"]
    assert body["capacity"]["cpu"] >= 16
    assert body["capacity"]["memory"] >= 4 * 8000 << 20
    assert 2 <= body["usedCapacity"]["cpu"] < body["capacity"]["cpu"]
    assert body["usedCapacity"]["memory"] >= 2 * 102 << 20
    assert body["queueStatus"]["running"] >= 1
    await _end(stack, made)
    unknown = await stack.core.call("jobs/retrieveUtilization?categoryId=nothing", method="GET")
    assert (unknown["status"], unknown["body"]["why"]) == (404, "there is no product category 'nothing'")


async def test_what_cannot_be_done_is_refused_in_words(stack: Stack) -> None:
    made = job("true")
    await stack.core.add_jobs(made)
    for call, body in (("extend", _extend(made, hours=1)), ("suspend", bulk({"job": made}))):
        reply = await stack.core.call(f"jobs/{call}", body, user="user")
        assert (reply["status"], reply["body"]["why"]) == (400, "this provider does not know the job")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    reply = await stack.core.call("jobs/suspend", bulk({"job": made}), user="user")
    assert (reply["status"], reply["body"]["why"]) == (400, "the job has ended, or is about to")
