"""The stand-in for Core follows jobs at the provider as both eras do, and tells their users."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.fake_provider import FakeProvider, serving
from tests.support.jobs import job
from tests.support.standin import CoreStandin, running_core
from tests.unit.test_core_standin_users import tell


@asynccontextmanager
async def following(
    tmp_path: Path, era: str
) -> AsyncIterator[tuple[CoreStandin, FakeProvider, ClientConnection]]:
    """A running job that its user follows."""
    provider = FakeProvider()
    async with serving(provider) as url, running_core(tmp_path, provider_url=url, era=era) as core:
        made = job("", job_id="17", user="alice")
        await core.add_jobs(made | {"status": made["status"] | {"state": "RUNNING"}})
        socket_url = "ws" + core.url.removeprefix("http") + "/api/jobs"
        async with connect(socket_url, proxy=None) as socket:
            request = {"call": "jobs.follow", "streamId": "7", "payload": {"id": "17"}}
            await socket.send(json.dumps(request | {"bearer": await core.user_token("alice")}))
            yield core, provider, socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    frame = json.loads(await socket.recv())
    assert frame["streamId"] == "7"
    return dict(frame)


def piece(**text: Any) -> dict[str, Any]:
    return {"streamId": "f1", "rank": 0, "stdout": None, "stderr": None} | text


@pytest.mark.parametrize("era", ["seeds", "today"])
async def test_a_follow_tells_the_log_and_the_states_until_the_end(tmp_path: Path, era: str) -> None:
    async with following(tmp_path, era) as (core, provider, socket):
        first = (await receive(socket))["payload"]
        shown = first["newStatus"] if era == "seeds" else first["initialJob"]["status"]
        assert shown["state"] == "RUNNING"

        provider.log_pieces.put_nowait(piece(rank=-1))
        provider.log_pieces.put_nowait(piece(stdout="out\n"))
        provider.log_pieces.put_nowait(piece(stderr="err\n"))
        assert [(await receive(socket))["payload"]["log"] for _ in range(2)] == [
            [piece(stdout="out\n")],
            [piece(stderr="err\n")],
        ]

        await tell(core, "17", state="SUCCESS", status="done")
        end = (await receive(socket))["payload"]
        assert [update["status"] for update in end["updates"]] == ["done"]
        assert end["newStatus"]["state"] == "SUCCESS"

        provider.log_pieces.put_nowait(piece(stdout="last words\n"))
        provider.log_pieces.put_nowait(None)
        assert (await receive(socket))["payload"]["log"] == [piece(stdout="last words\n")]
        last = await receive(socket)
        assert (last["type"], last["status"]) == ("response", 200)
        assert await core.violations() == []


async def test_core_of_the_seeds_names_the_user_first_and_sends_its_token_with_each_message(
    tmp_path: Path,
) -> None:
    async with following(tmp_path, "seeds") as (_, provider, socket):
        provider.log_pieces.put_nowait(piece(stdout="out\n"))
        await receive(socket)
        await receive(socket)
        [(headers, query)], [request] = provider.handshakes, provider.log_requests
        assert base64.b64decode(headers["ucloud-username"]) == b"alice"
        assert "authorization" not in headers and query == {}
        assert request["call"] == "jobs.provider.example.follow"
        assert request["bearer"].count(".") == 2
        assert (request["payload"]["type"], request["payload"]["job"]["id"]) == ("init", "17")


async def test_todays_core_sends_its_token_first_and_a_stream_id_that_says_nothing(tmp_path: Path) -> None:
    async with following(tmp_path, "today") as (_, provider, socket):
        provider.log_pieces.put_nowait(piece(stdout="out\n"))
        await receive(socket)
        await receive(socket)
        [(headers, query)], [request] = provider.handshakes, provider.log_requests
        assert headers["authorization"].startswith("Bearer ey")
        assert base64.urlsafe_b64decode(query["usernameHint"]) == b"alice"
        assert (request["bearer"], request["streamId"]) == ("", "ignored")


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"streamId": "f1", "rank": "0", "stdout": "x"}, "'rank' in the log of a job is no int"),
        ({"streamId": "f1", "stdout": "x"}, "a piece of the log of a job has no rank"),
        ({"streamId": "f1", "rank": 0, "output": "x"}, "the log of a job has no key 'output'"),
        ({"streamId": "f1", "rank": -1, "stdout": "x"}, "a piece of the log of a job is of no rank"),
        ({"rank": 0, "stdout": "x"}, "a piece of the log of a job has no streamId"),
    ],
)
async def test_frames_that_core_could_not_read_are_breaches(
    tmp_path: Path, bad: dict[str, Any], what: str
) -> None:
    async with following(tmp_path, "seeds") as (core, provider, socket):
        provider.log_pieces.put_nowait(bad)
        provider.log_pieces.put_nowait(piece(stdout="good"))
        await receive(socket)
        assert (await receive(socket))["payload"]["log"] == [piece(stdout="good")]
        assert [breach["what"] for breach in await core.violations()] == [what]


async def test_strangers_cannot_follow_a_job(tmp_path: Path) -> None:
    async with following(tmp_path, "seeds") as (core, _, socket):
        await receive(socket)
        request = {"call": "jobs.follow", "streamId": "7", "payload": {"id": "17"}}
        await socket.send(json.dumps(request | {"bearer": await core.user_token("bob")}))
        assert (await receive(socket))["status"] == 404
