"""The calls about public links: what is made, what is refused in words, and that jobs get what is theirs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from slurm_provider.jobmap import JobChange, JobMap, LinkBinding, Target
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.ingresses import DOMAIN, MORE, PRODUCT, link, web_job
from tests.unit.running_facade import Facade, running_facade


@pytest.fixture
async def facade(tmp_path: Path) -> AsyncIterator[Facade]:
    async with running_facade(tmp_path, MORE) as facade:
        yield facade


async def make(facade: Facade, *links: dict[str, Any]) -> httpx.Response:
    return await facade.post("ingresses", {"items": links})


async def delete(facade: Facade, *links: dict[str, Any]) -> httpx.Response:
    body = json.dumps({"items": links})
    return await facade.http.request("DELETE", "/ucloud/example/ingresses", content=body)


async def submit(facade: Facade, *jobs: dict[str, Any]) -> httpx.Response:
    return await facade.post("jobs", {"items": jobs})


async def binding(facade: Facade, domain: str = DOMAIN) -> LinkBinding | None:
    return await facade.services.jobmap.call(lambda jobmap: jobmap.links.at(domain))


async def told(facade: Facade, link_id: str) -> list[dict[str, Any]]:
    """What waits to be told to Core of a link."""
    items = await facade.services.jobmap.call(lambda jobmap: jobmap.outbox.undelivered(100))
    bodies = [json.loads(item.body) for item in items]
    return [body["update"] for body in bodies if body["id"] == link_id]


def assert_refused(answer: httpx.Response, status: int, why: str) -> None:
    assert answer.status_code == status
    assert why in answer.json()["why"]


async def test_the_products_say_what_domains_begin_and_end_with(facade: Facade) -> None:
    answer = await facade.http.get("/ucloud/example/ingresses/retrieveProducts")
    support = {"product": PRODUCT, "domainPrefix": "app-", "domainSuffix": ".example.com"}
    assert answer.json() == {"responses": [support]}
    machines = (await facade.http.get("/ucloud/example/jobs/retrieveProducts")).json()["responses"]
    assert machines[0]["native"]["bindLinkToPort"] is True
    assert machines[0]["virtualMachine"]["bindLinkToPort"] is None


async def test_a_link_is_made_once_however_often_it_is_asked_for(facade: Facade) -> None:
    for _ in range(2):
        answer = await make(facade, link("41231", "App-Mine.example.com"))
        assert (answer.status_code, answer.json()) == (200, {"responses": [None]})
    found = await binding(facade)
    assert found is not None
    assert (found.link.link_id, found.link.ucloud_user, found.job_id) == ("41231", "user", None)
    [update] = await told(facade, "41231")
    assert (update["state"], update["timestamp"]) == ("READY", 0)


@pytest.mark.parametrize(
    ("wrong", "status", "why"),
    [
        (link("2"), 409, "the domain 'app-mine.example.com' is taken already; please choose another"),
        (link("2", "mine.example.com"), 400, "must have the form 'app-NAME.example.com'"),
        (link("2", "app-a.b.example.com"), 400, "the NAME no dots"),
        (link("2", "app-54112-0.example.com"), 400, "looks like a job's own"),
        (
            link("2", specification={"domain": "app-x.example.com", "product": PRODUCT | {"id": "other"}}),
            400,
            "has no public links of the type 'example-ingress/other'",
        ),
        (link("2", "app-x.example.com", owner={}), 400, "the public link names no owner"),
    ],
)
async def test_of_links_with_one_that_cannot_be_none_is_made(
    facade: Facade, wrong: dict[str, Any], status: int, why: str
) -> None:
    await make(facade, link("41231"))
    assert_refused(await make(facade, link("1", "app-fine.example.com"), wrong), status, why)
    assert await binding(facade, "app-fine.example.com") is None


async def test_a_job_holds_its_links_as_long_as_it_lives(facade: Facade) -> None:
    await make(facade, link("41231"), link("41232", "app-second.example.com"))
    assert (await submit(facade, web_job("1", "41231", "41232"))).status_code == 200
    for domain in (DOMAIN, "app-second.example.com"):
        found = await binding(facade, domain)
        assert found is not None
        assert (found.job_id, found.port, found.is_open) == ("1", None, False)
    assert_refused(await submit(facade, web_job("2", "41231")), 400, f"'{DOMAIN}' is in use by the job 1")
    assert_refused(await delete(facade, link("41231")), 400, "in use by the job 1; end the job")
    await facade.services.jobmap.call(JobMap.apply, [JobChange("1", {"state": JobState.SUCCESS})])
    assert (await submit(facade, web_job("2", "41231"))).status_code == 200


async def test_of_two_jobs_in_one_call_that_want_one_link_the_second_is_told_why_not(facade: Facade) -> None:
    await make(facade, link("41231"))
    answer = await submit(facade, web_job("1", "41231"), web_job("2", "41231"))
    assert answer.json() == {"responses": [None, None]}
    assert await facade.told("2") == [
        "The job cannot run: the public link 'app-mine.example.com' is in use by the job 1;"
        " it is free again when that has ended"
    ]
    assert await facade.services.jobmap.call(JobMap.job, "2") is None


@pytest.mark.parametrize(
    ("owner", "made"),
    [
        ({"createdBy": "other", "project": None}, web_job("1", "41231")),
        ({"createdBy": "user", "project": "bio"}, web_job("1", "41231")),
        ({"createdBy": "user", "project": None}, web_job("1", "41231", project="bio")),
        ({"createdBy": "user", "project": "physics"}, web_job("1", "41231", project="bio")),
    ],
)
async def test_another_owners_link_is_refused(
    facade: Facade, owner: dict[str, Any], made: dict[str, Any]
) -> None:
    await facade.services.jobmap.call(JobMap.map_project, "bio", "bio")
    await make(facade, link("41231", owner=owner))
    [asked] = made["specification"]["resources"]
    why = f"the public link {asked['id']} cannot be used: it is not one of yours"
    assert_refused(await submit(facade, made), 400, why)


async def test_of_an_unknown_link_core_is_asked(facade: Facade) -> None:
    why = "the public link 41231 is not known to this provider, and UCloud does not say whose it is"
    assert_refused(await submit(facade, web_job("1", "41231")), 400, why)


async def test_a_projects_link_is_for_everybody_in_it(facade: Facade) -> None:
    await facade.services.jobmap.call(JobMap.map_project, "bio", "bio")
    await make(facade, link("41231", owner={"createdBy": "other", "project": "bio"}))
    assert (await submit(facade, web_job("1", "41231", project="bio"))).status_code == 200


async def test_links_are_deleted_and_their_domains_are_free_again(facade: Facade) -> None:
    await make(facade, link("41231"))
    answer = await delete(facade, link("41231"), link("never-made", "app-none.example.com"))
    assert (answer.status_code, answer.json()) == (200, {"responses": [{}, {}]})
    assert (await make(facade, link("41232"))).status_code == 200


async def test_verify_makes_an_unknown_link_anew_and_corrects_cores_state(facade: Facade) -> None:
    answer = await facade.post("ingresses/verify", {"items": [link("41231")]})
    assert (answer.status_code, answer.json()) == (200, {})
    assert [update["state"] for update in await told(facade, "41231")] == ["READY"]
    ready, preparing = link("41231", status={"state": "READY"}), link("41231")
    await facade.post("ingresses/verify", {"items": [ready]})
    assert len(await told(facade, "41231")) == 1
    await facade.post("ingresses/verify", {"items": [preparing]})
    assert len(await told(facade, "41231")) == 2


async def test_verify_says_why_a_link_cannot_be_used_any_more(facade: Facade) -> None:
    await make(facade, link("41231"))
    await facade.post("ingresses/verify", {"items": [link("1"), link("2", "elsewhere.example.org")]})
    [taken] = await told(facade, "1")
    [foreign] = await told(facade, "2")
    assert taken["state"] == foreign["state"] == "UNAVAILABLE"
    assert taken["status"].startswith("The public link cannot be used: the domain 'app-mine.example.com' is")
    assert "must have the form" in foreign["status"]


@pytest.mark.parametrize(
    ("call", "body", "reply"),
    [
        ("updateAcl", {"items": [{"resource": link("1"), "added": [], "deleted": []}]}, {"responses": [{}]}),
        ("onUpdatedLabels", {"items": [link("1")]}, {}),
        ("init", {"principal": {"createdBy": "user", "project": None}}, {}),
    ],
)
async def test_what_is_no_concern_of_the_providers_is_acknowledged(
    facade: Facade, call: str, body: dict[str, Any], reply: dict[str, Any]
) -> None:
    answer = await facade.post(f"ingresses/{call}", body)
    assert (answer.status_code, answer.json()) == (200, reply)


async def test_a_provider_without_public_links_says_so(tmp_path: Path) -> None:
    async with running_facade(tmp_path) as facade:
        products = await facade.http.get("/ucloud/example/ingresses/retrieveProducts")
        assert products.json() == {"responses": []}
        why = "the job asks for a public link, which this provider does not have"
        assert_refused(await submit(facade, web_job("1", "41231")), 400, why)


@pytest.mark.parametrize(
    ("target", "port"), [({"target": "Board"}, 6006), ({"target": "main"}, None), ({}, None)]
)
async def test_a_session_with_one_of_several_windows_has_its_port(
    facade: Facade, target: dict[str, str], port: int | None
) -> None:
    targets = [Target(0, "WEB", "board", 6006), Target(0, "WEB", "main", 0)]
    change = JobChange("54112", targets=targets)
    await facade.services.jobmap.call(JobMap.add_jobs, [(job(state=JobState.RUNNING), change)])
    request = {"job": {"id": "54112"}, "rank": 0, "sessionType": "WEB"} | target
    path = "/ucloud/example/jobs/interactiveSession"
    answer = await facade.http.post(path, json={"items": [request]}, headers={"UCloud-Username": "dXNlcg=="})
    assert answer.status_code == 200
    [session] = await facade.services.jobmap.call(lambda jobmap: jobmap.sessions.overview())
    assert session["port"] == port


async def test_a_window_that_the_job_does_not_have_is_refused(facade: Facade) -> None:
    change = JobChange("54112", targets=[Target(1, "WEB", "board", 6006)])
    row = job(state=JobState.RUNNING, replicas=2)
    await facade.services.jobmap.call(JobMap.add_jobs, [(row, change)])
    request = {"job": {"id": "54112"}, "rank": 0, "sessionType": "WEB", "target": "board"}
    path = "/ucloud/example/jobs/interactiveSession"
    answer = await facade.http.post(path, json={"items": [request]}, headers={"UCloud-Username": "dXNlcg=="})
    assert_refused(answer, 400, "the job has no window called 'board' at rank 0")
