"""The calls beside create and terminate, as Core makes them."""

import httpx
import pytest

from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Stack


async def test_core_can_poll_everything_it_polls(stack: Stack) -> None:
    answers = await stack.core.poll()
    assert {answer["status"] for answer in answers.values()} == {200}
    assert answers["integration/retrieveManifest"]["body"]["enabled"] is False
    for resource in ("files/collections", "ingresses", "networkips", "licenses", "private-networks"):
        assert answers[f"{resource}/retrieveProducts"]["body"] == {"responses": []}


async def test_support_is_computed_from_what_the_site_has(stack: Stack) -> None:
    answer = await stack.core.call("jobs/retrieveProducts", method="GET")
    support = answer["body"]["responses"][0]
    assert support["product"] == {
        "id": "example-compute-1",
        "category": "example-compute",
        "provider": "example",
    }
    assert support["docker"]["enabled"] is True
    assert support["native"]["enabled"] is True
    assert support["virtualMachine"]["enabled"] is None


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("jobs/init", {"principal": {"createdBy": "user", "project": None}}, {}),
        ("integration/init", {"username": "user"}, {}),
        ("jobs/updateAcl", {"items": []}, {"responses": []}),
    ],
)
async def test_calls_that_need_no_work_are_acknowledged(
    stack: Stack, path: str, body: dict[str, object], answer: dict[str, object]
) -> None:
    reply = await stack.core.call(path, body, user="user")
    assert (reply["status"], reply["body"]) == (200, answer)


async def test_update_acl_answers_each_item(stack: Stack) -> None:
    item = {"resource": job("true"), "added": [], "deleted": []}
    reply = await stack.core.call("jobs/updateAcl", {"items": [item, item]}, user="user")
    assert (reply["status"], reply["body"]) == (200, {"responses": [{}, {}]})


async def test_verify_says_nothing_of_a_living_job_and_repeats_the_end_of_an_ended_one(stack: Stack) -> None:
    alive, ended = job("sleep 600"), job("true")
    for made in (alive, ended):
        await stack.core.create(bulk(made))
    await stack.core.wait_update(alive["id"], state="RUNNING")
    end = await stack.core.wait_update(ended["id"], state="SUCCESS")
    told = len(await stack.updates(alive["id"]))
    seq = await stack.core.last_seq()
    assert (await stack.core.call("jobs/verify", bulk(alive, ended)))["body"] == {}
    assert await stack.core.wait_update(ended["id"], state="SUCCESS", since=seq) == end
    assert len(await stack.updates(alive["id"])) == told
    await stack.core.call("jobs/terminate", bulk(alive), user="user")
    await stack.core.wait_update(alive["id"], state="SUCCESS")


async def test_verify_concludes_nothing_while_slurm_does_not_answer(stack: Stack, slurm: Slurm) -> None:
    unknown = job("true")
    unknown["createdAt"] -= 3_600_000
    await stack.core.add_jobs(unknown)
    await slurm.daemon("stop", "slurmdbd")
    try:
        seq = await stack.core.last_seq()
        await stack.core.call("jobs/verify", bulk(unknown))
        await stack.wait_for_log("facade", "jobs not verified")
        assert await stack.updates(unknown["id"]) == []
    finally:
        await slurm.daemon("start", "slurmdbd")
    await stack.core.call("jobs/verify", bulk(unknown))
    update = await stack.core.wait_update(unknown["id"], state="FAILURE", since=seq)
    assert update["status"] == "Your job is no longer available"


async def test_a_job_of_the_portals_user_goes_all_the_way(stack: Stack) -> None:
    specification = {
        "application": {"name": "shell-script", "version": "1.0.0"},
        "product": {"id": "example-compute-1", "category": "example-compute", "provider": "example"},
        "replicas": 1,
        "parameters": {"script": {"type": "text", "value": "echo from the portal"}},
        "timeAllocation": {"hours": 0, "minutes": 5, "seconds": 0},
    }
    (job_id,) = await stack.core.create_as_user("user", specification)
    await stack.core.wait_update(job_id, state="SUCCESS")
    assert stack.output("alice", job_id) == "from the portal\n"
    row = await stack.core.job(job_id)
    assert row["status"]["state"] == "SUCCESS"
    assert row["output"]["outputFolder"] == f"/123/alice/{job_id}"


async def test_an_unknown_call_and_method_are_answered_in_json(stack: Stack) -> None:
    for path, method in (("jobs/levitate", "POST"), ("jobs/terminate", "GET"), ("nonsense", "GET")):
        reply = await stack.core.call(path, {}, method=method)
        assert reply["status"] in (404, 405)
        assert reply["body"]["why"]


async def test_health_and_readiness_tell_what_is_away(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["clusters"]["hpc"]["ready"]) == (200, True)


async def test_openapi_describes_every_call_and_its_errors(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as client:
        assert "swagger" in (await client.get("/docs")).text
        paths = (await client.get("/openapi.json")).json()["paths"]
    for call in ("", "/terminate", "/verify", "/updateAcl", "/init"):
        operation = paths[f"/ucloud/example/jobs{call}"]["post"]
        assert set(operation["responses"]) == {"200", "4XX"}
        assert operation["security"]
