"""Who gets a session with a job, and who is told in words why not."""

from typing import Any

import httpx
import pytest

from slurm_provider.jobmap import JobChange, JobMap, SessionKind
from slurm_provider.jobmap.sessions import hash_of
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.running_facade import Facade

SHELL = {"job": {"id": "54112"}, "rank": 0, "sessionType": "SHELL"}
OWNER = {"UCloud-Username": "dXNlcg=="}  # user
USER = {"UCloud-Username": "b3RoZXI="}  # other


async def with_job(facade: Facade, **changes: Any) -> None:
    row = job(**{"state": JobState.RUNNING, "replicas": 2} | changes)
    await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])


async def asked(facade: Facade, *items: Any, user: dict[str, str] = OWNER) -> httpx.Response:
    path = "/ucloud/example/jobs/interactiveSession"
    return await facade.http.post(path, json={"items": items}, headers=user)


async def sessions(facade: Facade) -> list[dict[str, Any]]:
    return await facade.services.jobmap.call(lambda jobmap: jobmap.sessions.overview())


@pytest.mark.parametrize(
    ("changes", "item", "why"),
    [
        ({"job_id": "1"}, {}, "the job '54112' is not known to this provider"),
        (
            {"state": JobState.IN_QUEUE},
            {},
            "the job is not running just now (IN_QUEUE); try again when it is",
        ),
        ({"state": JobState.FAILURE}, {}, "the job has ended; there is nothing left to connect to"),
        (
            {"wished_state": JobState.SUCCESS},
            {},
            "the job has ended; there is nothing left to connect to",
        ),
        ({}, {"rank": 2}, "the job has no rank 2: its 2 ranks begin with 0"),
        (
            {},
            {"sessionType": "WEB"},
            "web applications cannot be opened here: the site has not set up [web]",
        ),
    ],
)
async def test_a_session_that_cannot_be_is_refused_in_words(
    facade: Facade, changes: dict[str, Any], item: dict[str, Any], why: str
) -> None:
    await with_job(facade, **changes)
    answer = await asked(facade, SHELL | item)
    assert (answer.status_code, answer.json()["why"]) == (400, why)
    assert await sessions(facade) == []


async def test_a_shells_identifier_is_of_one_rank_and_one_kind(facade: Facade) -> None:
    await with_job(facade)
    answer = await asked(facade, SHELL | {"rank": 1}, SHELL, user=USER)
    first, second = answer.json()["responses"]
    assert first == {
        "type": "shell",
        "jobId": "54112",
        "rank": 1,
        "sessionIdentifier": first["sessionIdentifier"],
        "domainOverride": None,
    }
    assert first["sessionIdentifier"] != second["sessionIdentifier"]
    newest, oldest = await sessions(facade)
    assert (oldest["kind"], oldest["rank"], oldest["ucloud_user"]) == (SessionKind.SHELL, 1, "other")
    assert (newest["rank"], newest["local_user"]) == (0, "alice")
    kinds = set(SessionKind) - {SessionKind.SHELL}
    find = first["sessionIdentifier"]
    assert await facade.services.jobmap.call(lambda jobmap: jobmap.sessions.valid(find, kinds)) is None
    assert hash_of(find) not in answer.text


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"deleted": [{"type": "user", "username": "other"}]}, ["user"]),
        ({"deleted": [{"type": "user", "username": "somebody"}]}, ["user", "other"]),
        ({"deleted": [{"type": "project_group", "projectId": "p", "group": "g"}]}, ["user"]),
        (
            {"added": [{"entity": {"type": "user", "username": "other"}, "permissions": ["READ"]}]},
            ["user"],
        ),
        (
            {"added": [{"entity": {"type": "user", "username": "other"}, "permissions": ["READ", "EDIT"]}]},
            ["user", "other"],
        ),
        ({}, ["user", "other"]),
    ],
)
async def test_who_loses_access_loses_their_sessions(
    facade: Facade, change: dict[str, Any], left: list[str]
) -> None:
    await with_job(facade)
    for user in (USER, OWNER):
        await asked(facade, SHELL, user=user)
    answer = await facade.post("jobs/updateAcl", {"items": [{"resource": {"id": "54112"}, **change}]})
    assert answer.json() == {"responses": [{}]}
    assert [row["ucloud_user"] for row in await sessions(facade)] == left


async def test_a_user_cannot_open_more_sessions_than_the_site_allows(facade: Facade) -> None:
    await with_job(facade)
    most = facade.services.config.sessions.per_user
    full = await asked(facade, *[SHELL] * most)
    assert full.status_code == 200
    answer = await asked(facade, SHELL)
    assert answer.status_code == 400
    assert answer.json()["why"] == (
        f"there are {most} open sessions of 'user' already; close one of them first"
    )


@pytest.mark.parametrize("user", [{}, {"UCloud-Username": "no base64!"}, {"UCloud-Username": ""}])
async def test_nobody_in_particular_gets_no_session_not_even_the_owners(
    facade: Facade, user: dict[str, str]
) -> None:
    await with_job(facade)
    answer = await asked(facade, SHELL, user=user)
    assert (answer.status_code, answer.json()["why"]) == (
        400,
        "the call does not say for which user the session is to be opened",
    )
    assert await sessions(facade) == []


async def test_of_a_call_with_an_item_that_is_refused_no_session_is_left(facade: Facade) -> None:
    await with_job(facade)
    assert (await asked(facade, SHELL, SHELL | {"rank": 2})).status_code == 400
    most = facade.services.config.sessions.per_user
    assert (await asked(facade, *[SHELL] * (most + 1))).status_code == 400
    assert await sessions(facade) == []


async def test_who_is_no_longer_mapped_loses_all_sessions(facade: Facade) -> None:
    await with_job(facade)
    secrets = [
        (await asked(facade, SHELL, user=user)).json()["responses"][0]["sessionIdentifier"]
        for user in (OWNER, USER)
    ]
    assert await facade.services.jobmap.call(JobMap.unmap, "user") == 1
    found = await facade.services.jobmap.call(lambda jobmap: jobmap.sessions.look_up(secrets))
    assert found[0] == "the user is no longer mapped"
    assert [row["ucloud_user"] for row in await sessions(facade)] == ["other"]
