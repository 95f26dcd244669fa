"""Public links on the real cluster: each is held by one living job of its owner, whatever is restarted."""

import asyncio
import copy
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.applications import job_of, template
from tests.support.jobs import DATA, application, bulk, job, seed
from tests.support.stack import PROJECT, Settings, Stack, running_stack

MORE = """
[[products]]
category = "compute-example"
id = "compute-example"
cluster = "hpc"
partition = "main"
memory_gib = 0.1

[web]
suffix = ".provider.example.com"
listen = "127.0.0.1:0"

[[public_links]]
category = "example-ingress"
id = "example-ingress"
prefix = "app-"
suffix = ".provider.example.com"
"""
REFERENCE = {"id": "example-ingress", "category": "example-ingress", "provider": "example"}


def web_app() -> Any:
    """The document's application, with a web interface on a port of its own."""
    made = copy.deepcopy(application("acme-web-app"))
    made["invocation"] |= {"applicationType": "WEB", "web": {"port": 8080}}
    made["invocation"]["invocation"] = [{"type": "word", "word": word} for word in ("sleep", "600")]
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["seeds", "today"])
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A provider with public links; at the end the strict stand-in must have seen no breach."""
    settings = Settings(era=request.param, more=MORE)
    async with running_stack(fresh_folder(f"links-{request.param}"), settings) as stack:
        await stack.core.add_application(web_app())
        machine = {"name": "compute-example", "category": {"name": "compute-example", "provider": "example"}}
        await stack.core.add_product(
            {"pricePerUnit": 1, "unitOfPrice": "CREDITS_PER_MINUTE", "cpu": 1, "memoryInGigs": 1} | machine
        )
        yield stack
        assert await stack.core.violations() == []


def web_job(*link_ids: str, user: str = "user", project: str | None = None) -> Any:
    """A job with public links as Core would send it to be created, checked or not."""
    resources = [{"type": "ingress", "id": link_id} for link_id in link_ids]
    made = job("", user=user, project=project, resources=resources)
    made["status"]["resolvedApplication"] = {
        "metadata": web_app()["metadata"],
        "invocation": web_app()["invocation"],
    }
    return made


async def new_link(stack: Stack, name: str, *, project: str | None = None) -> str:
    """A link of `user`, of which Core knows that it is ready."""
    link_id = await stack.core.create_link_as_user(
        "user", f"app-{name}.provider.example.com", project=project
    )
    await stack.core.wait("ingresses/control/update", job=link_id, state="READY")
    return link_id


async def bound_to(stack: Stack, link_id: str) -> list[str]:
    """The jobs to which Core has bound a link."""
    return list((await stack.core.link_as_user("user", link_id))["status"]["boundTo"])


def held(stack: Stack) -> dict[str, str | None]:
    """Which job has taken each link last, by the job map."""
    with closing(sqlite3.connect(f"file:{stack.jobmap_path}?mode=ro", uri=True)) as jobmap:
        return dict(jobmap.execute("SELECT link_id, job_id FROM public_links").fetchall())


async def refusal(stack: Stack, made: Any) -> str:
    """Why a job is refused; it is sent past Core's own checks."""
    answer = await stack.core.create({"items": [made]})
    assert answer["status"] == 400, answer
    return str(answer["body"]["why"])


async def end(stack: Stack, job_id: str) -> None:
    await stack.core.terminate_as_user("user", job_id)
    await stack.core.wait_update(job_id, state="SUCCESS", timeout=60)


async def test_starting_a_job_with_a_public_link(stack: Stack) -> None:
    await stack.core.behave(next_ids=["41231", "41252"])
    reply = await stack.core.as_user("user", "POST", "/api/ingresses", seed("public-link.ingress.request"))
    assert reply == {"responses": [{"id": "41231"}]}
    await stack.core.wait("ingresses/control/update", job="41231", state="READY")
    reply = await stack.core.as_user("user", "POST", "/api/jobs", seed("public-link.create.request"))
    assert reply == {"responses": [{"id": "41252"}]}
    await stack.core.wait_update("41252", state="RUNNING", timeout=60)
    link, documented = await stack.core.link_as_user("user", "41231"), seed("public-link.ingress")
    # The document shows the link's own id there, where its text says that the job's stands.
    documented["status"]["boundTo"] = ["41252"]
    for name in ("id", "owner", "status", "updates"):
        assert link[name] == documented[name], name
    assert documented["specification"].items() <= link["specification"].items()
    assert held(stack)["41231"] == "41252"
    await end(stack, "41252")
    assert await bound_to(stack, "41231") == []
    [again] = await stack.core.create_as_user("user", *seed("public-link.create.request")["items"])
    await stack.core.wait_update(again, state="RUNNING", timeout=60)
    assert held(stack)["41231"] == again
    await end(stack, again)


@pytest.mark.parametrize("era", ["seeds", "today"])
async def test_each_call_about_links_is_understood_in_the_form_of_its_era(stack: Stack, era: str) -> None:
    for exchange in json.loads((DATA / f"eras/{era}.links.json").read_text()):
        call, user, method = exchange["call"], exchange["user"], exchange["method"]
        reply = await stack.core.call(call, exchange["request"], user=user, method=method)
        assert (reply["status"], reply["body"]) == (exchange["status"], exchange["response"]), call


async def test_a_link_in_use_is_refused_to_other_jobs_and_cannot_be_deleted(stack: Stack) -> None:
    link_id = await new_link(stack, "in-use")
    made = web_job(link_id)
    assert (await stack.core.create({"items": [made]}))["status"] == 200
    why = f"the public link 'app-in-use.provider.example.com' is in use by the job {made['id']}"
    assert why in await refusal(stack, web_job(link_id))
    with pytest.raises(httpx.HTTPStatusError, match=f"400.*{why}"):
        await stack.core.delete_link_as_user("user", link_id)
    await end(stack, made["id"])
    await stack.core.delete_link_as_user("user", link_id)
    assert "is not one of yours" in await refusal(stack, web_job(link_id))
    assert link_id not in held(stack)


async def test_of_many_jobs_at_once_that_want_one_link_one_gets_it(stack: Stack) -> None:
    link_id = await new_link(stack, "wanted")
    wanting = [web_job(link_id) for _ in range(6)]
    answers = await asyncio.gather(*(stack.core.create({"items": [made]}) for made in wanting))
    [winner] = [made["id"] for made, answer in zip(wanting, answers, strict=True) if answer["status"] == 200]
    assert held(stack)[link_id] == winner
    await end(stack, winner)


async def test_a_link_is_only_for_its_owner(stack: Stack) -> None:
    personal, shared = await new_link(stack, "personal"), await new_link(stack, "shared", project=PROJECT)
    for made in (
        web_job(personal, user="bob"),
        web_job(personal, project=PROJECT),
        web_job(shared),
    ):
        assert "it is not one of yours" in await refusal(stack, made)
    assert held(stack) | {personal: None, shared: None} == held(stack)
    colleague = web_job(shared, user="bob", project=PROJECT)
    answer = await stack.core.create({"items": [colleague]})
    assert answer["status"] == 200
    assert held(stack)[shared] == colleague["id"]
    await stack.core.call("jobs/terminate", {"items": [colleague]}, user="bob")
    await stack.core.wait_update(colleague["id"], state="SUCCESS", timeout=60)


async def test_a_domain_belongs_to_one_link_in_any_case(stack: Stack) -> None:
    await new_link(stack, "unique")
    answers = [
        await stack.core.call(
            "ingresses",
            {
                "items": [
                    {
                        "id": f"other-{number}",
                        "owner": {"createdBy": "bob", "project": None},
                        "specification": {"domain": domain, "product": REFERENCE},
                    }
                ]
            },
            user="bob",
        )
        for number, domain in enumerate(
            ("App-UNIQUE.provider.example.com", "app-54112-0.provider.example.com", "evil.example.org")
        )
    ]
    assert [answer["status"] for answer in answers] == [409, 400, 400]
    assert not any(link_id.startswith("other-") for link_id in held(stack))


async def test_links_and_their_jobs_outlast_a_restart_and_a_core_that_is_away(stack: Stack) -> None:
    link_id = await new_link(stack, "lasting")
    made = web_job(link_id)
    await stack.core.create({"items": [made]})
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    await stack.core.behave(down=True)
    late = await stack.core.create_link_as_user("user", "app-later.provider.example.com")
    await stack.facade.kill()
    await stack.facade.start()
    since = await stack.core.last_seq()
    await stack.core.behave(down=False)
    await stack.core.wait("ingresses/control/update", job=late, state="READY", since=since)
    assert f"in use by the job {made['id']}" in await refusal(stack, web_job(link_id))
    await end(stack, made["id"])
    again = web_job(link_id)
    assert (await stack.core.create({"items": [again]}))["status"] == 200
    await end(stack, again["id"])


async def test_a_link_that_the_job_map_has_lost_is_asked_from_core(stack: Stack) -> None:
    link_id, foreign = await new_link(stack, "lost"), await new_link(stack, "foreign", project=PROJECT)
    await stack.facade.stop()
    with closing(sqlite3.connect(stack.jobmap_path)) as jobmap, jobmap:
        jobmap.execute("DELETE FROM public_links WHERE link_id IN (?, ?)", [link_id, foreign])
    await stack.facade.start()
    for unknown in (foreign, "99999"):
        assert "it is not one of yours" in await refusal(stack, web_job(unknown))
    made = web_job(link_id)
    assert (await stack.core.create({"items": [made]}))["status"] == 200
    assert held(stack)[link_id] == made["id"]
    await end(stack, made["id"])


async def test_a_job_that_is_found_in_slurm_again_has_its_links_again(stack: Stack) -> None:
    link_id = await new_link(stack, "adopted")
    made = web_job(link_id)
    await stack.core.create({"items": [made]})
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    await stack.facade.stop()
    with closing(sqlite3.connect(stack.jobmap_path)) as jobmap, jobmap:
        for table in ("targets", "attempts", "charges", "jobs"):
            jobmap.execute(f"DELETE FROM {table} WHERE job_id = ?", [made["id"]])
        jobmap.execute("DELETE FROM public_links WHERE link_id = ?", [link_id])
    await stack.facade.start()
    await stack.core.call("jobs/verify", {"items": [await stack.core.job(made["id"])]})
    async with asyncio.timeout(30):
        while held(stack).get(link_id) != made["id"]:
            await asyncio.sleep(0.1)
    assert f"in use by the job {made['id']}" in await refusal(stack, web_job(link_id))
    await end(stack, made["id"])


async def test_a_window_that_a_template_announces_is_opened_on_its_port(stack: Stack) -> None:
    announce = template("{{ dynamicInterface(0, 'WEB', 'Board', 6006) }}sleep 600")
    made = job_of(announce, applicationType="WEB", web={"port": 8080})
    await stack.core.create({"items": [made]})
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    await stack.wait_for_update(
        made["id"],
        status='Target: {"rank": 0, "type": "WEB", "target": "Board", "port": 6006, "defaultName": null}',
    )
    session = {"job": made, "rank": 0, "sessionType": "WEB"}
    board, other = (bulk(session | {"target": target}) for target in ("Board", "other"))
    answer = await stack.core.call("jobs/interactiveSession", board, user="user")
    link = answer["body"]["responses"][0]["redirectClientTo"]
    assert link.startswith(f"https://app-{made['id']}-0-board.provider.example.com/")
    answer = await stack.core.call("jobs/interactiveSession", other, user="user")
    assert answer["body"]["why"] == "the job has no window called 'other' at rank 0"
    with closing(sqlite3.connect(f"file:{stack.jobmap_path}?mode=ro", uri=True)) as jobmap:
        ports = jobmap.execute("SELECT port FROM sessions WHERE job_id = ?", [made["id"]]).fetchall()
    assert ports == [(6006,)]
    await end(stack, made["id"])
