"""Every call in the tables of UCloud's ingoing API, by its name there, on the real cluster.

What is longer than a few lines stands in test_jobs, test_operations, test_provider_api and test_follow.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.follow import seeds_core
from tests.support.jobs import DATA, bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

CORE_GIVES_UP_SECONDS = 5
TOLD = "The job was cancelled by user"


async def started(stack: Stack, **how: Any) -> Any:
    """Return a job that runs."""
    made = job("sleep 600", **how)
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    return made


async def terminate(stack: Stack, *made: Any) -> None:
    reply = await stack.core.call("jobs/terminate", bulk(*made), user="user")
    assert (reply["status"], reply["body"]) == (200, {"responses": [{} for _ in made]})


async def support(stack: Stack, product: str = "example-compute-1") -> Any:
    answer = await stack.core.call("jobs/retrieveProducts", method="GET")
    assert answer["status"] == 200
    [found] = [s for s in answer["body"]["responses"] if s["product"]["id"] == product]
    return found


async def add_product(stack: Stack, name: str) -> None:
    await stack.core.add_product(json.loads((DATA / "products.json").read_text())[0] | {"name": name})


async def queue_status(stack: Stack, wanted: str | None) -> None:
    """Wait until a product's queueStatus is the wanted one."""
    async with asyncio.timeout(60):
        while (await support(stack))["queueStatus"] != wanted:
            await asyncio.sleep(0.5)


# follow


async def test_follow_shows_what_a_job_prints(stack: Stack) -> None:
    made = job("echo out; echo err >&2")
    await stack.core.create(bulk(made))
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.until_end(await core.follow(made))
    assert followed.printed == {(0, "stdout"): "out\n", (0, "stderr"): "err\n"}
    declared = await support(stack)
    assert all(declared[block]["logs"] for block in ("docker", "native"))


# retrieveProducts


async def test_retrieveProducts_declares_what_program_and_site_can_do(stack: Stack) -> None:  # noqa: N802
    found = await support(stack)
    able = {"enabled", "logs", "terminal", "vnc", "peers", "timeExtension", "utilization"}
    for block in ("docker", "native"):
        assert {name for name, value in found[block].items() if value} == able
    assert not any(found["virtualMachine"].values())
    assert found["maintenance"] is None


FILLING = """
[[products]]
category = "example-compute"
id = "filling"
cluster = "hpc"
partition = "main"
cpu = 4
memory_gib = 0.1
"""


async def test_retrieveProducts_tells_how_soon_a_job_can_start(slurm: Slurm) -> None:  # noqa: N802
    async with running_stack(fresh_folder("load"), Settings(more=FILLING)) as stack:
        await add_product(stack, "filling")
        await queue_status(stack, "AVAILABLE")
        filling = [job("sleep 600", replicas=4, product="filling") for _ in range(2)]
        await stack.core.create(bulk(*filling))
        await queue_status(stack, "BUSY")
        await terminate(stack, *filling)
        await queue_status(stack, "AVAILABLE")
        slurm.run("scontrol", "update", "nodename=n[1-4]", "state=drain", "reason=test")
        try:
            await queue_status(stack, "FULL")
        finally:
            slurm.run("scontrol", "update", "nodename=n[1-4]", "state=resume")


async def test_retrieveProducts_answers_while_slurm_is_away(slurm: Slurm) -> None:  # noqa: N802
    async with running_stack(fresh_folder("away")) as stack:
        await stack.sidecar.stop()
        answer = await stack.core.call("jobs/retrieveProducts", method="GET")
        assert answer["status"] == 200
        assert answer["seconds"] < 2
        assert answer["body"]["responses"][0]["queueStatus"] is None


# create


def no_service(ends: datetime) -> str:
    return f"""
[[maintenance]]
description = "new storage"
availability = "NO_SERVICE"
starts_at = 2026-01-01T00:00:00Z
ends_at = {ends.isoformat()}
"""


async def test_create_is_refused_while_there_is_no_service() -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    async with running_stack(fresh_folder("maintenance"), Settings(more=no_service(ends))) as stack:
        reply = await stack.core.create(bulk(job("true")))
        assert reply["status"] == 400
        until = f"{ends:%Y-%m-%d %H:%M} UTC"
        words = f"no new jobs are taken until {until}, because of a maintenance: new storage"
        assert reply["body"]["why"] == words
        assert (await support(stack))["maintenance"] == {
            "description": "new storage",
            "availability": "NO_SERVICE",
            "startsAt": 1_767_225_600_000,
            "estimatedEndsAt": int(ends.timestamp()) * 1000,
        }


CHOICES = """
[choices]
accounts = ["*"]
modules = ["gcc/12"]

[[products]]
category = "example-compute"
id = "choosy"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
partition_choices = ["short"]
qos = "normal"
qos_choices = ["brief"]
"""


@asynccontextmanager
async def choosing() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("choices"), Settings(more=CHOICES)) as stack:
        yield stack


async def test_requestDynamicParameters_offers_what_create_takes(slurm: Slurm) -> None:  # noqa: N802
    async with choosing() as stack:
        await add_product(stack, "choosy")
        owner = {"createdBy": "user", "project": None}
        body = {"owner": owner, "application": {"metadata": {"name": "x", "version": "1"}}}
        async with asyncio.timeout(30):  # until the limits have been read
            while True:
                reply = await stack.core.call("jobs/requestDynamicParameters", body, user="user")
                form = {parameter["name"]: parameter for parameter in reply["body"]["parameters"]}
                if "_injected_slurmAccount" in form:
                    break
                await asyncio.sleep(0.2)
        offered = [option["value"] for option in form["_injected_slurmAccount"]["options"]]
        assert offered == ["bio", "users"]
        assert [o["value"] for o in form["_injected_slurmPartition"]["options"]] == ["main", "short"]
        assert [m["name"] for m in form["_injected_modules"]["supportedModules"]] == ["gcc/12"]

        made = job("true", product="choosy")
        made["specification"]["parameters"] |= {
            "_injected_slurmAccount": {"type": "text", "value": "bio"},
            "_injected_slurmPartition": {"type": "text", "value": "short"},
            "_injected_slurmQos": {"type": "text", "value": "brief"},
        }
        made["specification"]["timeAllocation"] = {"hours": 0, "minutes": 2, "seconds": 0}
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="SUCCESS")
        record = await slurm.recorded(f"uc-{made['id']}-")
        assert (record["Account"], record["QOS"]) == ("bio", "brief")

        foreign = job("true")
        foreign["specification"]["parameters"]["_injected_slurmAccount"] = {"type": "text", "value": "root"}
        reply = await stack.core.create(bulk(foreign))
        words = "the Slurm account 'root' is not yours to choose for this job"
        assert (reply["status"], reply["body"]["why"]) == (400, words)


# terminate


async def test_terminate_ends_a_running_job_and_says_who_did_it(stack: Stack) -> None:
    made = await started(stack)
    await terminate(stack, made)
    assert (await stack.core.wait_update(made["id"], state="SUCCESS"))["status"] == TOLD


async def test_terminate_ends_a_waiting_job(stack: Stack, slurm: Slurm) -> None:
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        made = job("true")
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], status="Slurm job")
        await terminate(stack, made)
        assert (await stack.core.wait_update(made["id"], state="SUCCESS"))["status"] == TOLD
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    assert stack.overview(made["id"])["charged"] == 0


async def test_terminate_ends_a_suspended_job(stack: Stack, slurm: Slurm) -> None:
    made = await started(stack)
    await stack.core.call("jobs/suspend", bulk({"job": made}), user="user")
    await stack.core.wait_update(made["id"], state="SUSPENDED")
    await terminate(stack, made)
    # Slurm may still be about to stop the processes, and takes its time to end stopped ones.
    update = await stack.core.wait_update(made["id"], state="SUCCESS", timeout=90)
    assert update["status"] == TOLD
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    assert slurm.run("squeue", "-h", "-t", "pd,r,s", "-j", slurm_id).strip() == ""


async def test_terminate_ends_a_requeued_job(stack: Stack, slurm: Slurm) -> None:
    made = await started(stack, product="requeued")
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    slurm.run("scontrol", "requeuehold", slurm_id)
    await stack.core.wait_update(made["id"], state="SUSPENDED", timeout=60)
    await terminate(stack, made)
    update = await stack.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert update["status"] == TOLD


async def test_terminate_says_nothing_more_of_a_job_that_has_ended(stack: Stack) -> None:
    made = job("true")
    await stack.core.create(bulk(made))
    end = await stack.core.wait_update(made["id"], state="SUCCESS")
    told = len(await stack.updates(made["id"]))
    await terminate(stack, made)
    assert (await stack.updates(made["id"]))[told - 1] == end
    assert len(await stack.updates(made["id"])) == told


async def test_terminate_of_a_job_that_is_gone_from_slurm_ends_it(stack: Stack, slurm: Slurm) -> None:
    made = await started(stack)
    slurm.run("scancel", str(stack.overview(made["id"])["slurm_id"]))
    await terminate(stack, made)
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_terminate_of_an_unknown_job_ends_in_its_failure(stack: Stack) -> None:
    made = job("true")
    made["createdAt"] -= 3_600_000
    await stack.core.add_jobs(made)
    await terminate(stack, made)
    update = await stack.core.wait_update(made["id"], state="FAILURE")
    assert update["status"] == "Your job is no longer available"


# verify


async def test_verify_of_a_hundred_jobs_is_answered_in_time_and_settles_each(stack: Stack) -> None:
    alive = await started(stack)
    ended = [job("true") for _ in range(4)]
    await stack.core.create(bulk(*ended))
    for made in ended:
        await stack.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    unknown = [job("true") for _ in range(95)]
    for made in unknown:
        made["createdAt"] -= 3_600_000
    await stack.core.add_jobs(*unknown)
    told = len(await stack.updates(alive["id"]))
    seq = await stack.core.last_seq()
    begun = time.monotonic()
    reply = await stack.core.call("jobs/verify", bulk(alive, *ended, *unknown))
    assert (reply["status"], reply["body"]) == (200, {})
    assert time.monotonic() - begun < CORE_GIVES_UP_SECONDS
    for made in ended:
        await stack.core.wait_update(made["id"], state="SUCCESS", since=seq)
    for made in unknown:
        update = await stack.core.wait_update(made["id"], state="FAILURE", since=seq)
        assert update["status"] == "Your job is no longer available"
    assert len(await stack.updates(alive["id"])) == told
    await terminate(stack, alive)


async def test_verify_adopts_a_job_that_only_slurm_knows(stack: Stack) -> None:
    made = await started(stack)
    path = str(stack.jobmap_path)
    await stack.facade.stop()
    forget(path, made["id"])
    await stack.facade.start()
    seq = await stack.core.last_seq()
    await stack.core.call("jobs/verify", bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING", since=seq)
    await terminate(stack, made)
    await stack.core.wait_update(made["id"], state="SUCCESS", since=seq)


def forget(path: str, job_id: str) -> None:
    """Take a job out of the job map, as if an older copy of the file had been put back."""
    with sqlite3.connect(path) as db:
        for table in ("attempts", "charges", "outbox", "jobs"):
            db.execute(f"DELETE FROM {table} WHERE job_id = ?", [job_id])


# the others, each refused or acknowledged


async def test_init_and_updateAcl_are_acknowledged(stack: Stack) -> None:  # noqa: N802
    body = {"principal": {"createdBy": "user", "project": None}}
    reply = await stack.core.call("jobs/init", body, user="user")
    assert (reply["status"], reply["body"]) == (200, {})
    made = await started(stack)
    item = {"resource": made, "added": [], "deleted": [{"type": "user", "username": "bob"}]}
    reply = await stack.core.call("jobs/updateAcl", bulk(item), user="user")
    assert (reply["status"], reply["body"]) == (200, {"responses": [{}]})
    await terminate(stack, made)


CONNECT = """
[connect]
url = "https://portal.example/ucloud?user={username}"
"""


async def test_connect_leads_to_the_sites_page_and_a_mapping_connects() -> None:
    async with running_stack(fresh_folder("connect"), Settings(more=CONNECT)) as stack:
        manifest = await stack.core.call("integration/retrieveManifest", method="GET")
        assert manifest["body"]["enabled"] is True
        reply = await stack.core.call("integration/connect", {"username": "a b&c"})
        assert reply["body"] == {"redirectTo": "https://portal.example/ucloud?user=a%20b%26c"}
        stack.run("users", "map", "carol", "alice").check_returncode()
        assert "carol" in await stack.core.connections()
        assert (await stack.core.call("integration/unlinked", {"username": "carol"}))["body"] == {}
        assert "carol" in stack.run("users", "ls", "--json").stdout
        stack.run("users", "rm", "carol").check_returncode()
        assert "carol" not in await stack.core.connections()


async def test_openInteractiveSession_gives_each_kind_what_its_page_needs() -> None:  # noqa: N802
    public = "https://provider.example"
    web = '[web]\nlisten = "127.0.0.1:0"\nsuffix = ".apps.example"\n'
    settings = Settings(facade=f'public_url = "{public}"', more=web)
    async with running_stack(fresh_folder("sessions"), settings) as stack:
        made = await started(stack)
        items = [{"job": made, "rank": 0, "sessionType": kind} for kind in ("SHELL", "WEB", "VNC")]
        reply = await stack.core.call("jobs/interactiveSession", bulk(*items), user="user")
        shell, web_app, desktop = reply["body"]["responses"]
        assert shell["domainOverride"] == "wss://provider.example"
        domain = f"https://app-{made['id']}-0.apps.example"
        assert web_app["redirectClientTo"].startswith(f"{domain}/ucloud/example/authorize-app?token=")
        assert desktop["url"].startswith(f"{public}/ucloud/example/vnc?token=")
        listed = json.loads(stack.run("sessions", "ls", "--json").stdout)
        assert [row["kind"] for row in listed] == ["VNC", "WEB", "SHELL"]
        assert {row["job_id"] for row in listed} == {made["id"]}
        await terminate(stack, made)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"rank": 1}, "the job has no rank 1: its 1 ranks begin with 0"),
    "web": ({"sessionType": "WEB"}, "web applications cannot be opened here: the site has not set up [web]"),
    "job": ({"job": {"id": "1"}}, "the job '1' is not known to this provider"),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_openInteractiveSession_is_refused_in_words(stack: Stack, what: str) -> None:  # noqa: N802
    made = await started(stack)
    changes, words = REFUSALS[what]
    item = {"job": made, "rank": 0, "sessionType": "SHELL", **changes}
    reply = await stack.core.call("jobs/interactiveSession", bulk(item), user="user")
    assert (reply["status"], reply["body"]["why"]) == (400, words)
    await terminate(stack, made)
