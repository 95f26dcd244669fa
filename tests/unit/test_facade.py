"""The façade without Slurm: who is let in, what is refused in words, and that nothing makes it fail."""

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurm_provider.jobmap import JobChange, JobMap
from slurm_provider.launch.plan import LONGEST_YEARS
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.running_facade import SEED, Facade, running_facade, seed

MIB = 1 << 20


# who is let in


class Body:
    """A body of some MiB, sent as it is asked for."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.mib):
            self.sent += 1
            yield b" " * MIB


@pytest.mark.parametrize("path", ["jobs", "jobs/terminate", "integration/init", "nonsense", "jobs/"])
@pytest.mark.parametrize("authorization", ["", "Basic eDp5", "Bearer", "Bearer ", "Bearer x.y.z"])
async def test_without_cores_token_no_body_is_read(facade: Facade, path: str, authorization: str) -> None:
    body = Body(400)
    answer = await facade.http.post(
        f"/ucloud/example/{path}", content=body, headers={"Authorization": authorization}
    )
    assert (answer.status_code, body.sent) == (401, 0)
    assert set(answer.json()) == {"why", "errorCode"}
    assert "token" in answer.json()["why"]


async def test_slashes_do_not_lead_past_the_token(facade: Facade) -> None:
    for path in ("//ucloud/example/jobs", "/ucloud//example/jobs", "///ucloud///example///jobs"):
        answer = await facade.http.post(f"http://facade{path}", content=b"{", headers={"Authorization": ""})
        assert answer.status_code == 401, path


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
async def test_health_and_documentation_are_open(facade: Facade, path: str) -> None:
    assert (await facade.http.get(path, headers={"Authorization": ""})).status_code == 200


async def test_openapi_says_that_calls_take_cores_token(facade: Facade) -> None:
    description = (await facade.http.get("/openapi.json")).json()
    calls = [call for path, calls in description["paths"].items() if "/ucloud/" in path for call in calls]
    secured = [
        call
        for path, calls in description["paths"].items()
        if "/ucloud/" in path
        for call, operation in calls.items()
        if operation["security"] == [{"HTTPBearer": []}]
    ]
    assert calls == secured


async def test_a_body_that_is_too_large_is_refused_while_it_comes(facade: Facade) -> None:
    body = Body(400)
    answer = await facade.http.post("/ucloud/example/jobs", content=body)
    assert (answer.status_code, body.sent) == (413, 17)
    assert answer.json() == {"why": "the body is larger than 16 MiB", "errorCode": None}


async def test_a_body_that_says_that_it_is_too_large_is_not_read(facade: Facade) -> None:
    body = Body(400)
    headers = {"Content-Length": str(400 * MIB)}
    answer = await facade.http.post("/ucloud/example/jobs", content=body, headers=headers)
    assert (answer.status_code, body.sent) == (413, 0)
    assert answer.json()["why"] == "the body is larger than 16 MiB"


async def test_a_body_of_16_mib_is_read(facade: Facade) -> None:
    padded = json.dumps({"items": []}).ljust(16 * MIB)
    answer = await facade.http.post("/ucloud/example/jobs", content=padded)
    assert (answer.status_code, answer.json()) == (200, {"responses": []})


async def test_a_failure_is_logged_as_the_500_that_it_is(facade: Facade) -> None:
    del facade.app.state.services.utilization["hpc"]
    with structlog.testing.capture_logs() as logs:
        answer = await facade.http.get(
            "/ucloud/example/jobs/retrieveUtilization", params={"categoryId": "example-compute"}
        )
    assert answer.status_code == 500
    assert [line["status"] for line in logs if line["event"] == "call"] == [500]


# what cannot be a job

HALF = "\ud800"
ODD = {
    "a time beyond all bounds": ({"timeAllocation": {"hours": 2_000_000}}, f"at most {LONGEST_YEARS} years"),
    "replicas beyond all bounds": ({"replicas": 5_000_000_000}, "at most 1000000 replicas"),
    "half a character in a value": (
        {"parameters": {"value": {"type": "text", "value": HALF}}},
        "specification.parameters.value.value: the text is not Unicode",
    ),
    "half a character in a name": ({"name": HALF}, "specification.name: the text is not Unicode"),
    "half a character in a key": (
        {"parameters": {HALF: {"type": "text", "value": ""}}},
        "specification.parameters.?: the text is not Unicode",
    ),
    "words for a number": ({"replicas": "many"}, "specification.replicas: Input should be a valid integer"),
    "half a character around a mistake": ({"parameters": {HALF: {}}}, ".type: Field required"),
}


@pytest.mark.parametrize(("odd", "words"), ODD.values(), ids=ODD.keys())
async def test_an_odd_job_is_refused_in_words(facade: Facade, odd: dict[str, Any], words: str) -> None:
    answer = await facade.post("jobs", {"items": [seed("1", **odd)]})
    assert answer.status_code == 400
    assert words in answer.json()["why"]
    assert await facade.services.jobmap.call(JobMap.job, "1") is None


@pytest.mark.parametrize(("odd", "words"), ODD.values(), ids=ODD.keys())
async def test_an_odd_job_does_not_stand_in_the_way_of_the_others(
    facade: Facade, odd: dict[str, Any], words: str
) -> None:
    answer = await facade.post("jobs", {"items": [seed("1"), seed("2", **odd), seed("3")]})
    assert (answer.status_code, answer.json()) == (200, {"responses": [None, None, None]})
    for good in ("1", "3"):
        assert await facade.services.jobmap.call(JobMap.job, good) is not None
    assert await facade.services.jobmap.call(JobMap.job, "2") is None
    [status] = await facade.told("2")
    assert status.startswith("The job cannot run: ")
    assert words in status


async def test_a_single_job_that_cannot_be_read_is_refused_by_the_place_of_its_mistake(
    facade: Facade,
) -> None:
    answer = await facade.post("jobs", {"items": [seed("1", replicas="many")]})
    assert answer.status_code == 400
    assert answer.json()["why"].startswith("items.0.specification.replicas: ")


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({}, "items.1.id"),
        ({"id": 5}, "items.1.id"),
        ({"id": None}, "items.1.id"),
        ({"id": HALF}, "items.1.id"),
        (5, "items.1"),
        (None, "items.1"),
    ],
)
async def test_an_item_without_an_id_is_a_mistake_of_the_call(
    facade: Facade, item: object, place: str
) -> None:
    answer = await facade.post("jobs", {"items": [seed("1"), item]})
    assert answer.status_code == 400
    assert answer.json()["why"].startswith(f"{place}: ")
    assert await facade.services.jobmap.call(JobMap.job, "1") is None


async def test_a_known_job_is_not_failed_by_a_repetition_that_cannot_be_read(facade: Facade) -> None:
    await facade.post("jobs", {"items": [seed("1")]})
    told = await facade.told("1")
    for items in ([seed("1", replicas="many")], [seed("1", replicas="many"), seed("2")]):
        assert (await facade.post("jobs", {"items": items})).status_code == 200
    assert await facade.told("1") == told


async def test_a_job_that_core_creates_anew_was_not_lost_by_it(facade: Facade) -> None:
    facts = {"state": JobState.SUCCESS, "allow_restart": True, "restart_offered": True}
    await facade.services.jobmap.call(JobMap.add_jobs, [(job(job_id="again", **facts), JobChange("again"))])

    def lose(jobmap: JobMap) -> list[str]:
        jobmap.suspects.update_refused("again")
        return [suspect.job_id for suspect in jobmap.suspects.due(time.time(), 10)]

    assert await facade.services.jobmap.call(lose) == ["again"]
    await facade.services.jobmap.call(lambda jobmap: jobmap.suspects.condemned("again"))
    assert await facade.services.jobmap.call(lose) == []
    assert (await facade.post("jobs", {"items": [seed("again", restartOnExit=True)]})).status_code == 200
    assert await facade.services.jobmap.call(lose) == ["again"]


async def test_what_nobody_foresaw_is_the_refusal_of_one_job(
    facade: Facade, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = facade.services.intake.check

    async def stumbling(job: Any) -> Any:
        return 1 / 0 if job.id == "2" else await check(job)

    monkeypatch.setattr(facade.services.intake, "check", stumbling)
    with structlog.testing.capture_logs() as logs:
        answer = await facade.post("jobs", {"items": [seed("1"), seed("2")]})
    assert answer.status_code == 200
    assert await facade.services.jobmap.call(JobMap.job, "1") is not None
    assert await facade.told("2") == ["The job cannot run: the provider could not understand the job"]
    assert [line["job_id"] for line in logs if line.get("exc_info")] == ["2"]


async def test_null_is_the_same_as_absent(facade: Facade) -> None:
    made = seed("1", timeAllocation={"hours": None, "minutes": 5, "seconds": None}, name=None, replicas=None)
    made["specification"]["application"] = {"name": None, "version": None}
    made["specification"]["product"]["provider"] = None
    made["status"]["resolvedApplication"]["metadata"]["version"] = None
    assert (await facade.post("jobs", {"items": [made]})).status_code == 200
    row = await facade.services.jobmap.call(JobMap.job, "1")
    assert row is not None
    assert (row.time_limit_seconds, row.replicas) == (300, 1)


# the end of jobs


async def _answered(facade: Facade, path: str, body: Any) -> tuple[int, float]:
    """Return the status of a call and the seconds after which it was answered, whatever it does later."""
    sent = asyncio.Event()
    status = 0

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            sent.set()

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    token = facade.http.headers["Authorization"].encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/ucloud/example/{path}",
        "query_string": b"",
        "headers": [(b"authorization", token)],
    }
    started = time.monotonic()
    call = asyncio.ensure_future(facade.app(scope, receive, send))
    await asyncio.wait_for(sent.wait(), 20)
    seconds = time.monotonic() - started
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    return status, seconds


async def test_jobs_are_ended_at_once_and_not_one_after_another(facade: Facade, tmp_path: Path) -> None:
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    rows = [job(job_id=str(number), slurm_id=number) for number in range(1, 21)]
    changes = [(row, JobChange(row.job_id)) for row in rows]
    await facade.services.jobmap.call(JobMap.add_jobs, changes)
    async with await asyncio.start_unix_server(never, tmp_path / "sidecar.sock"):
        unknown = {"id": "99", "owner": {"createdBy": "user"}}
        items = [{"id": row.job_id} for row in rows]
        status, seconds = await _answered(facade, "jobs/terminate", {"items": [unknown, *items]})
    assert status == 200
    assert seconds < 2.5
    for row in rows:
        ended = await facade.services.jobmap.call(JobMap.job, row.job_id)
        assert ended is not None
        assert ended.wished_state is JobState.SUCCESS


@pytest.mark.parametrize("slurm_id", [77, None])
async def test_a_job_of_a_cluster_that_is_gone_is_answered_in_words(
    facade: Facade, slurm_id: int | None
) -> None:
    row = replace(job(), cluster="gone", slurm_id=slurm_id)
    await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])
    item = {"job": {"id": row.job_id}, "requestedTime": {"hours": 1}}
    for path in ("jobs/extend", "jobs/suspend", "jobs/unsuspend"):
        answer = await facade.post(path, {"items": [item]})
        assert answer.status_code == 400
        assert "cluster 'gone'" in answer.json()["why"]
    assert (await facade.post("jobs/terminate", {"items": [{"id": row.job_id}]})).status_code == 200


@pytest.mark.parametrize("hours", [-1, 0, 2_000_000, 10**30])
async def test_a_job_cannot_be_extended_beyond_all_bounds(facade: Facade, hours: int) -> None:
    row = job(time_limit_seconds=600)
    await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])
    item = {"job": {"id": row.job_id}, "requestedTime": {"hours": hours}}
    answer = await facade.post("jobs/extend", {"items": [item]})
    assert answer.status_code == 400
    assert "can only be extended" in answer.json()["why"] or "can be extended by" in answer.json()["why"]


# whatever comes

POSTS = (
    "integration/connect",
    "integration/unlinked",
    "integration/welcome",
    "jobs",
    "jobs/attachResource",
    "jobs/detachResource",
    "jobs/interactiveSession",
    "jobs/onUpdatedLabels",
    "jobs/openTerminalInFolder",
    "jobs/requestDynamicParameters",
    "jobs/terminate",
    "jobs/extend",
    "jobs/suspend",
    "jobs/unsuspend",
    "jobs/verify",
    "jobs/updateAcl",
    "jobs/init",
    "integration/init",
    "ssh/keyUploaded",
    "ingresses",
    "ingresses/verify",
    "ingresses/updateAcl",
    "ingresses/onUpdatedLabels",
    "ingresses/init",
)
TEXTS = st.text(st.characters(), max_size=5) | st.sampled_from([HALF, "\0", "54112", "_", "../x", "[/x]"])
NUMBERS = st.integers() | st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**40, -1]) | st.floats()
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, below in inner for found in _places(below, (*place, key)))]


ITEM = {
    **SEED,
    "job": SEED,
    "resource": SEED,
    "requestedTime": {"hours": 1, "minutes": 0, "seconds": 0},
    "principal": SEED["owner"],
    "sessionType": "SHELL",
    "folder": "/123/folder",
    "allKeys": [{"owner": "user", "specification": {"title": "", "key": "ssh-ed25519 AAAA"}}],
}
PLACES = _places(ITEM)


@st.composite
def odd_bodies(draw: st.DrawFn) -> bytes:
    """A body that is nearly right, or not at all."""
    kind = draw(st.sampled_from(["nearly", "nearly", "nearly", "json", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=50))
    if kind == "json":
        return json.dumps(draw(ANYTHING)).encode()
    items = []
    for _ in range(draw(st.integers(1, 3))):
        item: Any = copy.deepcopy(ITEM)
        item["id"] = str(draw(st.integers(1, 10**12)))  # new to the provider
        for place in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
            *keys, last = place or ("id",)
            inner = item
            for key in keys:
                try:
                    inner = inner[key]
                except (KeyError, IndexError, TypeError):
                    break  # an earlier change has taken the place away
            else:
                if isinstance(inner, dict):
                    inner[last] = draw(ANYTHING)
                elif isinstance(inner, list):
                    inner.append(draw(ANYTHING))
        items.append(item)
    return json.dumps({"items": items, **items[0]}).encode()


@pytest.fixture(scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Facade]:
    async with running_facade(tmp_path_factory.mktemp("facade")) as facade:
        yield facade


@pytest.mark.parametrize("path", POSTS)
@given(body=odd_bodies())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_body_makes_the_provider_fail(lasting: Facade, path: str, body: bytes) -> None:
    answer = await lasting.http.post(f"/ucloud/example/{path}", content=body)
    documented = lasting.app.openapi()["paths"][f"/ucloud/example/{path}"]["post"]["responses"]
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    assert {"200", "4XX"} == set(documented)
    if answer.status_code != 200:
        assert answer.json()["why"]


def test_every_call_is_tried(lasting: Facade) -> None:
    paths = lasting.app.openapi()["paths"]
    posts = {path.removeprefix("/ucloud/example/") for path, calls in paths.items() if "post" in calls}
    assert posts == set(POSTS)


# what Slurm cannot do, and what is none of ours


REFUSED = {
    "jobs/interactiveSession": (
        {"items": [{"job": {"id": "1"}, "rank": 0, "sessionType": "SHELL"}]},
        "the job '1' is not known to this provider",
    ),
    "jobs/openTerminalInFolder": (
        {"items": [{"folder": "/123/folder"}]},
        "the call does not say for which user the terminal is to be opened",
    ),
    "jobs/attachResource": (
        {"job": {"id": "1"}, "resource": {"type": "file", "path": "/123/folder"}},
        "a resource (file) cannot be added to a job that Slurm has already; end the job and start it"
        " again with the resource",
    ),
    "jobs/detachResource": (
        {"job": {"id": "1"}, "resource": {"type": "ingress", "id": "5"}},
        "a resource (ingress) cannot be taken from a job that Slurm has already; end the job, and start"
        " it again without the resource",
    ),
    "integration/connect": (
        {"username": "user"},
        "users are connected to this cluster by its administrators; please write to them",
    ),
    "integration/welcome": (
        {"token": "x", "createdProvider": {"refreshToken": "y", "publicKey": "z"}},
        "this provider has its keys already; an administrator puts new ones into the files that"
        " [core] public_key_file and refresh_token_file name",
    ),
}


@pytest.mark.parametrize(("path", "body", "why"), [(path, *rest) for path, rest in REFUSED.items()])
async def test_what_is_impossible_is_refused_in_words(facade: Facade, path: str, body: Any, why: str) -> None:
    answer = await facade.post(path, body)
    assert (answer.status_code, answer.json()) == (400, {"why": why, "errorCode": None})


async def test_nobody_on_the_internet_can_replace_the_keys(facade: Facade) -> None:
    core = facade.services.config.core
    before = (core.public_key_file.read_bytes(), core.refresh_token_file.read_bytes())
    body = json.dumps({"token": "x", "createdProvider": {"refreshToken": "y", "publicKey": "z"}})
    path = "/ucloud/example/integration/welcome"
    answer = await facade.http.post(path, content=body, headers={"Authorization": ""})
    assert answer.status_code == 401
    assert (await facade.http.post(path, content=body)).status_code == 400
    assert (core.public_key_file.read_bytes(), core.refresh_token_file.read_bytes()) == before
    assert (await facade.post("jobs/verify", {"items": []})).status_code == 200


async def test_products_are_told_at_once_while_slurm_is_away(facade: Facade) -> None:
    started = time.monotonic()
    answer = await facade.http.get("/ucloud/example/jobs/retrieveProducts")
    assert time.monotonic() - started < 2
    [support] = answer.json()["responses"]
    assert (answer.status_code, support["queueStatus"]) == (200, None)
    assert support["native"]["enabled"] is True


@pytest.mark.parametrize("ssh", [{"specification": {"sshEnabled": True}}, {"mode": "MANDATORY"}])
async def test_a_job_that_needs_ssh_is_refused_where_the_site_has_it_off(
    facade: Facade, ssh: dict[str, Any]
) -> None:
    made = seed("1", **ssh.get("specification", {}))
    if "mode" in ssh:
        made["status"]["resolvedApplication"]["invocation"]["ssh"] = {"mode": ssh["mode"]}
    answer = await facade.post("jobs", {"items": [made]})
    assert answer.status_code == 400
    assert answer.json()["why"].startswith("the job asks for SSH, which this provider does not offer")


async def test_uploaded_keys_are_ignored_where_the_site_has_ssh_off(facade: Facade) -> None:
    key = {"owner": "user", "specification": {"title": "", "key": "ssh-ed25519 AAAA"}}
    answer = await facade.post("ssh/keyUploaded", {"username": "user", "allKeys": [key]})
    assert (answer.status_code, answer.json()) == (200, {})
    assert await facade.services.jobmap.call(lambda jobmap: jobmap.ssh.open_blocks()) == []
