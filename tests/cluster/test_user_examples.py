"""The examples of UCloud's end-user API that reach a provider without sessions, run as a user of the portal.

The requests are the document's own JSON. Its texts differ from those of the ingoing API, so jobs are
compared by their states and their order. (Connecting two jobs together stands with the peers.)
"""

from collections.abc import AsyncIterator

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import seed
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

CATEGORY = "example-compute"
MINUTE_PRICE = 1_000_000
MORE = """
[[images]]
name = "dreg.cloud.sdu.dk/batch/batch:1.0.0"
software = "{folder}/software"

[[drives]]
id = "12512"
path = "{folder}/drives/12512"

[licenses."56231"]
address = "licence.example"
port = 27000
key = "secret"
"""


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """A provider with what the examples need: an image, a shared folder and a licence."""
    folder = fresh_folder("examples")
    shared = folder / "drives/12512/shared"
    shared.mkdir(parents=True)
    for path in (shared, shared.parent, shared.parent.parent, folder):
        path.chmod(0o755)
    async with running_stack(folder, Settings(more=MORE.replace("{folder}", str(folder)))) as stack:
        yield stack


async def submit(stack: Stack, example: str, job_id: str) -> None:
    """Submit an example's job as its user does; Core gives it the document's id."""
    await stack.core.behave(next_ids=[job_id])
    reply = await stack.core.as_user("user", "POST", "/api/jobs", seed(f"{example}.create.request"))
    assert reply == {"responses": [{"id": job_id}]}


async def states(stack: Stack, job_id: str) -> list[str]:
    """The states that the user has seen, as the document has them: it shows no CANCELING."""
    row = await stack.core.retrieve_as_user("user", job_id, includeUpdates="true")
    found = [update["state"] for update in row["updates"] if update["state"] not in (None, "CANCELING")]
    return [state for number, state in enumerate(found) if state not in found[:number]]


def documented(example: str) -> list[str]:
    return [update["state"] for update in seed(f"{example}.job")["updates"]]


async def assert_ended_as_documented(stack: Stack, example: str, job_id: str) -> None:
    assert await states(stack, job_id) == documented(example)
    row = await stack.core.retrieve_as_user("user", job_id)
    wanted = seed(f"{example}.job")
    assert row["status"]["state"] == wanted["status"]["state"]
    for name, value in wanted["specification"].items():
        if name != "timeAllocation":  # Core keeps the new total, the document what was asked for
            assert row["specification"][name] == value, name


async def test_creating_a_simple_batch_job(stack: Stack) -> None:
    await submit(stack, "batch-job", "48920")
    await stack.core.wait_update("48920", state="SUCCESS", timeout=60)
    assert await states(stack, "48920") == ["IN_QUEUE", "RUNNING", "SUCCESS"]


async def test_using_licensed_software(stack: Stack) -> None:
    await stack.core.behave(next_ids=["56231"])
    reply = await stack.core.as_user("user", "POST", "/api/licenses", seed("licence.activate.request"))
    assert reply == {"responses": [{"id": "56231"}]}
    await submit(stack, "licence", "56232")
    await stack.core.wait_update("56232", state="SUCCESS", timeout=60)
    words = "acme-licensed-software uses the licence licence.example:27000/secret\n"
    assert stack.output("alice", "56232") == words


async def test_losing_access_to_resources(stack: Stack) -> None:
    await submit(stack, "lost-access", "62349")
    await stack.core.wait_update("62349", state="RUNNING", timeout=60)
    assert await stack.core.revoke_files("user", "/12512/shared") == ["62349"]
    await stack.core.wait_update("62349", state="SUCCESS", timeout=60)
    await assert_ended_as_documented(stack, "lost-access", "62349")
    row = await stack.core.job("62349")
    texts = [update["status"] for update in row["updates"]]
    assert seed("lost-access.job")["updates"][-1]["status"] in texts


async def test_running_out_of_compute_credits(slurm: Slurm) -> None:
    # In a world of its own: no other job is charged to the user's wallet. The first minutes can be paid.
    async with running_stack(fresh_folder("credits")) as stack:
        await stack.core.set_wallet(CATEGORY, 500 * MINUTE_PRICE, user="user")
        await submit(stack, "out-of-credits", "62350")
        await stack.core.wait_update("62350", state="RUNNING", timeout=60)
        slurm_id = str(stack.overview("62350")["slurm_id"])
        await slurm.running_in_accounting("uc-62350-", slurm_id)
        await stack.core.set_wallet(CATEGORY, 0, user="user")
        slurm.backdate(slurm_id, 900)
        update = await stack.core.wait_update("62350", state="SUCCESS", timeout=60)
        assert "credits" in update["status"]
        await assert_ended_as_documented(stack, "out-of-credits", "62350")


async def test_extending_a_job_and_terminating_it_early(stack: Stack, slurm: Slurm) -> None:
    await submit(stack, "extend", "62348")
    await stack.core.wait_update("62348", state="RUNNING", timeout=60)
    await stack.core.as_user("user", "POST", "/api/jobs/extend", seed("extend.extend.request"))
    await stack.wait_for_update("62348", newTimeAllocation=6 * 3_600_000)
    slurm_id = str(stack.overview("62348")["slurm_id"])
    assert slurm.run("squeue", "-h", "-j", slurm_id, "-o", "%l").strip() == "6:00:00"
    await stack.core.as_user("user", "POST", "/api/jobs/terminate", seed("extend.terminate.request"))
    await stack.core.wait_update("62348", state="SUCCESS", timeout=60)
    await assert_ended_as_documented(stack, "extend", "62348")
