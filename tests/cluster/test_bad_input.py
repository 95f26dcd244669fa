"""What is wrong is refused in words, and nothing reaches Slurm."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Stack


def _with(**changes: Any) -> Any:
    return job("true", **changes)


def _file_parameter(path: str) -> Any:
    made = job("true")
    made["status"]["resolvedApplication"]["invocation"]["parameters"].append(
        {"type": "input_file", "name": "input", "optional": False}
    )
    made["specification"]["parameters"]["input"] = {"type": "file", "path": path}
    return made


def _unknown_parameter_type() -> Any:
    made = job("true")
    made["status"]["resolvedApplication"]["invocation"]["parameters"][0]["type"] = "teapot"
    return made


def _unmapped_image() -> Any:
    made = job("true")
    description = made["status"]["resolvedApplication"]["invocation"]["tool"]["tool"]["description"]
    description["image"] = "acme/unheard-of:2.0"
    return made


REFUSED = {
    "unknown product": (_with(product="warp-drive"), "warp-drive"),
    "unmapped user": (_with(user="stranger"), "stranger"),
    "unmapped project": (_with(project="nobody's"), "nobody's"),
    "unmapped image": (_unmapped_image(), "acme/unheard-of:2.0"),
    "unknown parameter type": (_unknown_parameter_type(), "teapot"),
    "no replica": (_with(replicas=0), "at least one replica"),
    "NUL in a name": (_with(name="a\0b"), "control character"),
    "newline in a name": (_with(name="a\nb"), "control character"),
    "path outside of the drive": (_file_parameter("/123/../124/secret"), "leaves its drive"),
    "unknown drive": (_file_parameter("/999/data"), "/999/data"),
    "id that cannot be a path": (_with(job_id="../x"), "cannot be the id"),
    "too long for the partition": (
        _with(product="short", timeAllocation={"hours": 1}),
        "asks for 1 h, but the partition 'short' allows at most 5 min",
    ),
    "too long for the QOS": (
        _with(product="brief", timeAllocation={"hours": 1}),
        "the QOS 'brief' allows at most 10 min",
    ),
    "too many nodes": (_with(replicas=5), "asks for 5 nodes, but the partition 'main' allows at most 4"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_job_that_cannot_run_is_refused_in_words(stack: Stack, slurm: Slurm, case: str) -> None:
    made, words = REFUSED[case]
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 400
    assert words in answer["body"]["why"]
    assert slurm.jobs_named(made["id"]) == []
    assert stack.run("jobs", "show", made["id"]).returncode == 1


async def test_an_account_that_does_not_exist_is_refused(stack: Stack, slurm: Slurm) -> None:
    stack.run("users", "map", "--project", "poor", "--account", "nowhere").check_returncode()
    made = job("true", project="poor")
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 400
    assert "'nowhere'" in answer["body"]["why"]
    assert slurm.jobs_named(made["id"]) == []


async def test_a_link_that_leaves_the_drive_fails_the_job(stack: Stack, slurm: Slurm) -> None:
    (stack.folder / "drives/123/link").symlink_to("/etc/hostname")
    made = _file_parameter("/123/link")
    await stack.core.create(bulk(made))
    update = await stack.core.wait_update(made["id"], state="FAILURE")
    assert "symbolic link leads out of its drive" in update["status"]
    assert slurm.jobs_named(made["id"]) == []


async def test_a_file_is_handed_over_by_its_real_path(stack: Stack) -> None:
    (stack.folder / "drives/123/Bob's data").write_text("42")
    made = _file_parameter("/123/Bob's data")
    made["status"]["resolvedApplication"]["invocation"]["invocation"].append(
        {"type": "var", "variableNames": ["input"]}
    )
    made["specification"]["parameters"]["script"]["value"] = 'cat "$0"'
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    assert stack.output("alice", made["id"]) == "42"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no body"),
        (b"nonsense", "not JSON"),
        (b"[]", "dictionary"),
        (b"{}", "items"),
        (b'{"items": 1}', "items"),
        (
            b'{"items": [{"id": "1", "specification": {"replicas": "many"}}]}',
            "items.0.specification.replicas",
        ),
    ],
)
async def test_a_body_that_is_no_bulk_request_is_refused(stack: Stack, body: bytes, words: str) -> None:
    headers = {"Authorization": f"Bearer {await stack.core.core_token()}"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{stack.url}/ucloud/example/jobs", content=body, headers=headers)
    assert answer.status_code == 400
    assert words in answer.json()["why"]


@pytest.mark.parametrize(
    "content_type", [None, "content-type: application/json; charset=utf-8", "text/plain"]
)
async def test_json_is_taken_whatever_its_content_type(stack: Stack, content_type: str | None) -> None:
    headers = {"Authorization": f"Bearer {await stack.core.core_token()}"}
    headers |= {"Content-Type": content_type} if content_type else {}
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{stack.url}//ucloud///example/jobs//verify", content=b'{"items": []}', headers=headers
        )
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("claims", "options"),
    [
        ({"exp": 1}, {}),
        ({"sub": "_ucloud"}, {}),
        ({"role": "USER"}, {}),
        ({"iss": "elsewhere"}, {}),
        ({"exp": None}, {}),
        ({}, {"key": "wrong"}),
        ({}, {"algorithm": "RS512"}),
        ({}, {"algorithm": "HS256"}),
        ({}, {"algorithm": "none"}),
    ],
)
async def test_a_token_that_is_not_cores_is_refused_and_nothing_is_written(
    stack: Stack, claims: dict[str, Any], options: dict[str, str]
) -> None:
    made = job("true")
    token = await stack.core.sign(claims, **options)
    answer = await stack.core.call("jobs", bulk(made), token=token)
    assert answer["status"] == 401
    assert answer["body"]["why"]
    assert stack.run("jobs", "show", made["id"]).returncode == 1


async def test_a_call_without_a_token_is_refused(stack: Stack) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{stack.url}/ucloud/example/jobs/retrieveProducts")
    assert (answer.status_code, "token" in answer.json()["why"]) == (401, True)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_huge_body_is_refused_and_its_sender_told_why(stack: Stack, announced: bool) -> None:
    mebibytes = 64

    async def body() -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield b" " * (1 << 20)

    length = {"Content-Length": str(mebibytes << 20)} if announced else {}
    token = {"Authorization": f"Bearer {await stack.core.core_token()}"}
    async with httpx.AsyncClient(timeout=20) as client:
        url = f"{stack.url}/ucloud/example/jobs"
        stranger = await client.post(url, content=body(), headers=length)
        core = await client.post(url, content=body(), headers=length | token)
        after = await client.post(url, content=b'{"items": []}', headers=token)
    assert (stranger.status_code, "token" in stranger.json()["why"]) == (401, True)
    assert (core.status_code, core.json()["why"]) == (413, "the body is larger than 16 MiB")
    assert after.status_code == 200


async def test_a_job_that_cannot_be_read_fails_alone(stack: Stack) -> None:
    good, bad = job("true"), job("true")
    bad["specification"]["replicas"] = "many"
    answer = await stack.core.create(bulk(bad, good))
    assert (answer["status"], answer["body"]) == (200, {"responses": [None, None]})
    update = await stack.core.wait_update(bad["id"], state="FAILURE")
    assert "specification.replicas" in update["status"]
    await stack.core.wait_update(good["id"], state="SUCCESS")
