"""Who gets a session with a job, and who is told in words why not."""

from typing import Any

import pytest

from slurm_provider.jobmap import JobChange, JobMap, SessionKind
from slurm_provider.jobmap.sessions import hash_of
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.running_facade import Facade

SHELL = {"job": {"id": "54112"}, "rank": 0, "sessionType": "SHELL"}
USER = {"UCloud-Username": "b3RoZXI="}  # other


async def with_job(facade: Facade, **changes: Any) -> None:
    row = job(**{"state": JobState.RUNNING, "replicas": 2} | changes)
    await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])


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
    answer = await facade.post("jobs/interactiveSession", {"items": [SHELL | item]})
    assert (answer.status_code, answer.json()["why"]) == (400, why)
    assert await sessions(facade) == []


async def test_a_shells_identifier_is_of_one_rank_and_one_kind(facade: Facade) -> None:
    await with_job(facade)
    answer = await facade.http.post(
        "/ucloud/example/jobs/interactiveSession",
        json={"items": [SHELL | {"rank": 1}, SHELL]},
        headers=USER,
    )
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
    for headers in (USER, {}):
        path = "/ucloud/example/jobs/interactiveSession"
        await facade.http.post(path, json={"items": [SHELL]}, headers=headers)
    answer = await facade.post("jobs/updateAcl", {"items": [{"resource": {"id": "54112"}, **change}]})
    assert answer.json() == {"responses": [{}]}
    assert [row["ucloud_user"] for row in await sessions(facade)] == left


async def test_a_user_cannot_open_more_sessions_than_the_site_allows(facade: Facade) -> None:
    await with_job(facade)
    most = facade.services.config.sessions.per_user
    full = await facade.post("jobs/interactiveSession", {"items": [SHELL] * most})
    assert full.status_code == 200
    answer = await facade.post("jobs/interactiveSession", {"items": [SHELL]})
    assert answer.status_code == 400
    assert answer.json()["why"] == (
        f"there are {most} open sessions of 'user' already; close one of them first"
    )
