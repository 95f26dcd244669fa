"""Jobs of all kinds on the real cluster: what they see, how they end, what the user reads."""

import asyncio

import pytest

from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import PROJECT, Stack

SHOW_UCLOUD_FILES = 'cd /etc/ucloud; hostname; for f in *.txt; do echo "$f $(cat $f)"; done'


async def test_three_replicas_see_three_ranks_on_three_hosts(stack: Stack) -> None:
    made = job(SHOW_UCLOUD_FILES, replicas=3)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS", timeout=40)
    outputs = [stack.output("alice", made["id"], rank).splitlines() for rank in range(3)]
    hosts = [lines[0] for lines in outputs]
    assert len(set(hosts)) == 3
    for rank, lines in enumerate(outputs):
        files = dict(line.split(" ", 1) for line in lines[1:])
        assert files == {
            "cores.txt": "1",
            "job_id.txt": made["id"],
            "node-0.txt": files["node-0.txt"],
            "node-1.txt": files["node-1.txt"],
            "node-2.txt": files["node-2.txt"],
            "number_of_nodes.txt": "3",
            "rank.txt": str(rank),
        }
        # The cluster's node names do not resolve, so these are Slurm's own addresses: 127.0.1.N for nN.
        assert [files[f"node-{n}.txt"] for n in range(3)] == [host.replace("n", "127.0.1.") for host in hosts]


async def test_files_left_in_work_are_the_output(stack: Stack) -> None:
    made = job("echo 42 > /work/result; echo 'not here' >&2")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    folder = stack.job_folder("alice", made["id"])
    assert (folder / "result").read_text() == "42\n"
    assert (folder / "stderr-0.log").read_text() == "not here\n"
    updates = await stack.updates(made["id"])
    assert [u["outputFolder"] for u in updates if u["outputFolder"]] == [f"/123/alice/{made['id']}"]


async def test_a_native_application_runs_on_the_node_as_it_is(stack: Stack) -> None:
    made = job('cat "$UCLOUD_DIR/rank.txt"; pwd; ls -d /etc/ucloud', app="native-script")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    assert stack.output("alice", made["id"]).splitlines() == ["0", str(stack.job_folder("alice", made["id"]))]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "signal 9"),
    ],
)
async def test_a_failing_program_is_a_success_of_the_provider(
    stack: Stack, script: str, message: str
) -> None:
    made = job(script)
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], state="SUCCESS")
    assert message in update["status"]
    assert f"Slurm job {stack.overview(made['id'])['slurm_id']}" in update["status"]


async def test_terminate_ends_a_running_job_and_says_who_did_it(stack: Stack, slurm: Slurm) -> None:
    made = job("sleep 600")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    answer = await stack.core.call("jobs/terminate", bulk(made), user="user")
    assert (answer["status"], answer["body"]) == (200, {"responses": [{}]})
    update = await stack.core.wait_update(made["id"], state="SUCCESS")
    assert update["status"] == "The job was cancelled by user"
    assert (await slurm.recorded(made["id"]))["State"].startswith("CANCELLED by")


async def test_terminate_ends_a_waiting_job_without_any_charge(stack: Stack, slurm: Slurm) -> None:
    waiting = job("sleep 600")
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        await stack.core.create(bulk(waiting))
        await stack.core.call("jobs/terminate", bulk(waiting), user="user")
        await stack.core.wait_update(waiting["id"], state="SUCCESS")
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    assert stack.overview(waiting["id"])["charged"] == 0
    assert "RUNNING" not in [update["state"] for update in await stack.updates(waiting["id"])]


async def test_a_job_cancelled_behind_our_back_ends_in_words(stack: Stack, slurm: Slurm) -> None:
    by_owner, by_root = job("sleep 600"), job("sleep 600")
    for made in (by_owner, by_root):
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="RUNNING")
    slurm.run("scancel", str(stack.overview(by_owner["id"])["slurm_id"]), user="alice")
    slurm.run("scancel", str(stack.overview(by_root["id"])["slurm_id"]))
    update = await stack.core.wait_update(by_owner["id"], state="SUCCESS")
    assert update["status"].startswith("The job was cancelled by its owner")
    update = await stack.core.wait_update(by_root["id"], state="SUCCESS")
    assert update["status"].startswith("The job was cancelled by an administrator")


async def test_a_job_that_cannot_be_paid_is_ended_when_it_starts(stack: Stack) -> None:
    made = job("sleep 600", user="alice")
    await stack.core.set_wallet("example-compute", 0, user="alice")
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], state="SUCCESS")
    assert update["status"] == "The job was terminated (No credits)"


async def test_a_project_is_charged_to_its_account_and_runs_as_the_user(stack: Stack, slurm: Slurm) -> None:
    made = job("id -un", user="bob", project=PROJECT)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    assert stack.output("bob", made["id"]) == "bob\n"
    record = await slurm.recorded(made["id"])
    assert (record["User"], record["Account"]) == ("bob", "bio")


async def test_time_left_to_us_is_told_to_core(stack: Stack) -> None:
    by_tool = job("true", timeAllocation=None)
    by_partition = job("true", timeAllocation=None, product="short")
    tool = by_partition["status"]["resolvedApplication"]["invocation"]["tool"]["tool"]["description"]
    tool["defaultTimeAllocation"] = None
    for made in (by_tool, by_partition):
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="SUCCESS")
    times = [
        [u["newTimeAllocation"] for u in await stack.updates(made["id"]) if u["newTimeAllocation"]]
        for made in (by_tool, by_partition)
    ]
    assert times == [[3_600_000], [300_000]]


async def test_a_bulk_is_answered_item_by_item_in_order(stack: Stack) -> None:
    good = [job("true"), job("true", user="bob")]
    bad = job("true", user="stranger")
    answer = await stack.core.create(bulk(good[0], bad, good[1]))
    assert (answer["status"], answer["body"]) == (200, {"responses": [None, None, None]})
    update = await stack.core.wait_update(bad["id"], state="FAILURE")
    assert "stranger" in update["status"]
    await asyncio.gather(*(stack.core.wait_update(made["id"], state="SUCCESS") for made in good))


async def test_what_slurm_accepts_but_can_never_start_is_cancelled_and_fails_in_words(
    stack: Stack, slurm: Slurm
) -> None:
    made = job("true", product="huge")
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], state="FAILURE")
    assert "can never start" in update["status"]
    assert (await slurm.recorded(made["id"]))["State"].startswith("CANCELLED")


async def test_a_program_in_a_rebuilt_root_hears_that_it_is_to_end(stack: Stack) -> None:
    made = job("trap 'echo told; exit 0' TERM; echo up; sleep 600 & wait")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    log = stack.job_folder("alice", made["id"]) / "stdout-0.log"
    async with asyncio.timeout(30):
        while not (log.exists() and log.read_text() == "up\n"):
            await asyncio.sleep(0.1)
    await stack.core.call("jobs/terminate", bulk(made), user="user")
    await stack.core.wait_update(made["id"], state="SUCCESS")
    assert stack.output("alice", made["id"]) == "up\ntold\n"
