"""The WebSocket of `follow` without Slurm: who is let in, what is refused in words, and its limits."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from slurm_provider.facade import follow as follow_module
from slurm_provider.facade.server import LARGEST_MESSAGE_BYTES, uvicorn_config
from slurm_provider.jobmap import OUTSIDE, JobChange, JobMap, JobRow, Submission
from slurm_provider.ucloud.jobs import JobState
from tests.support.follow import CALL, PATH, FollowClient, seeds_core, todays_core
from tests.unit.builders import job
from tests.unit.running_facade import Facade, running_facade

IN_THE_QUEUE = job()
ELSEWHERE = job(job_id="outside", tag=f"{OUTSIDE}77", state=JobState.RUNNING, folder="/home/alice")
NOWHERE = job(job_id="nowhere", state=JobState.RUNNING, started_at=1000)
NEVER_SUBMITTED = job(job_id="never", submission=Submission.NONE, state=JobState.FAILURE)


@pytest.fixture
async def facade(tmp_path: Path) -> AsyncIterator[Facade]:
    async with running_facade(tmp_path) as facade:
        rows = (IN_THE_QUEUE, ELSEWHERE, NOWHERE, NEVER_SUBMITTED)
        await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id)) for row in rows])
        yield facade


@pytest.fixture
async def url(facade: Facade) -> AsyncIterator[str]:
    """Where the façade is served as it is in production."""
    async with served(facade) as url:
        yield url


@asynccontextmanager
async def served(facade: Facade) -> AsyncIterator[str]:
    config = uvicorn_config(facade.app, "127.0.0.1", 0)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture
def token(facade: Facade) -> str:
    return facade.http.headers["Authorization"].removeprefix("Bearer ")


async def refusal(core: FollowClient, row: JobRow) -> str:
    """Follow a job that cannot be followed; return why."""
    followed = await core.until_end(await core.follow({"id": row.job_id}))
    assert followed.end is not None
    assert followed.end["status"] == 400
    payload = followed.end["payload"]
    assert payload["stderr"] == f"{payload['why']}\n"
    return str(payload["why"])


# who is let in


async def test_a_bad_token_in_the_handshake_is_refused_in_words(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with todays_core(url, "nonsense"):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["why"].startswith("the token is not valid: ")


@pytest.mark.parametrize("bad_token", ["", "nonsense"])
async def test_a_message_without_a_good_token_is_refused_and_the_connection_closed(
    url: str, bad_token: str
) -> None:
    async with seeds_core(url, bad_token) as core:
        followed = await core.until_end(await core.follow({"id": "1"}))
        assert followed.end is not None
        assert followed.end["status"] == 401
        await core.socket.wait_closed()
        assert core.socket.close_code == 1008
        assert "token" in (core.socket.close_reason or "")


async def test_who_shows_no_token_in_time_is_disconnected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "FIRST_FRAME_SECONDS", 0.1)
    async with seeds_core(url, "") as core:
        await core.socket.send("noise")
        await core.socket.wait_closed()
        assert (core.socket.close_code, core.socket.close_reason) == (
            1008,
            "nobody has shown Core's token in time",
        )


async def test_repeated_slashes_in_the_path_are_one(url: str, token: str) -> None:
    address = f"ws{url.removeprefix('http')}{PATH.replace('/', '//')}"
    async with connect(address, proxy=None) as connection:
        assert await refusal(FollowClient(connection, token), NOWHERE)


async def test_another_providers_path_is_not_there(url: str, token: str) -> None:
    address = f"ws{url.removeprefix('http')}{PATH.replace('example', 'other')}"
    headers = {"Authorization": f"Bearer {token}"}
    with pytest.raises(InvalidStatus):
        async with connect(address, additional_headers=headers, proxy=None):
            pass


# what is said


@pytest.mark.parametrize("noise", ["not JSON", b"binary", "[]", '{"call": 1, "streamId": "2"}', "{}", ""])
async def test_malformed_frames_are_skipped(url: str, token: str, noise: str | bytes) -> None:
    async with seeds_core(url, token) as core:
        await core.socket.send(noise)
        assert await refusal(core, NOWHERE)


async def test_an_unknown_call_is_answered_with_404_and_the_connection_goes_on(url: str, token: str) -> None:
    async with seeds_core(url, token) as core:
        answer = await core.until_end(await core.send({}, "1", call="jobs.provider.example.unknown"))
        assert answer.end == {"type": "response", "status": 404, "streamId": "1", "payload": {}}
        assert await refusal(core, NOWHERE)


@pytest.mark.parametrize("payload", [None, {}, {"type": "init"}, {"type": "init", "job": {}}, 7])
async def test_a_payload_that_is_no_follow_is_refused(url: str, token: str, payload: Any) -> None:
    async with seeds_core(url, token) as core:
        answer = await core.until_end(await core.send(payload, "1", call=CALL))
        assert answer.end is not None
        assert answer.end["status"] == 400
        assert answer.end["payload"]["why"] == "this is neither the start nor the end of a follow"


async def test_a_frame_keeps_an_idle_connection_alive(
    url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module, "KEEP_ALIVE_SECONDS", 0.05)
    async with todays_core(url, token) as core, asyncio.timeout(10):
        assert json.loads(await core.socket.recv()) == {"ping": "pong"}


async def test_only_the_seeds_core_is_told_the_follows_id_first(url: str, token: str) -> None:
    async with seeds_core(url, token) as core:
        followed = await core.until_end(await core.follow({"id": NEVER_SUBMITTED.job_id}))
    announced, end = (frame["payload"] for frame in followed.frames)
    assert announced == {"streamId": end["streamId"], "rank": -1, "stdout": None, "stderr": None} | {
        "channel": None
    }
    async with todays_core(url, token) as core:
        followed = await core.until_end(await core.follow({"id": NEVER_SUBMITTED.job_id}, "ignored"))
    assert len(followed.frames) == 1


# what cannot be followed


async def test_a_job_that_was_submitted_without_ucloud_is_refused_in_words(url: str, token: str) -> None:
    async with seeds_core(url, token) as core:
        assert (await refusal(core, ELSEWHERE)).startswith("the job was submitted without UCloud")


async def test_a_job_whose_folder_is_not_known_is_refused_in_words(url: str, token: str) -> None:
    async with todays_core(url, token) as core:
        assert (await refusal(core, NOWHERE)).startswith("it is not known in which folder the job runs")
        await core.socket.wait_closed()


async def test_a_follow_of_a_job_that_never_reached_slurm_just_ends(url: str, token: str) -> None:
    async with todays_core(url, token) as core:
        followed = await core.until_end(await core.follow({"id": NEVER_SUBMITTED.job_id}))
    assert followed.end is not None
    assert followed.end["status"] == 200
    assert followed.printed == {}


async def test_more_follows_than_a_connection_may_have_are_refused(
    url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module, "FOLLOWS_PER_SOCKET", 1)
    async with seeds_core(url, token) as core:
        first = await core.follow({"id": IN_THE_QUEUE.job_id})
        await core.take()
        assert await refusal(core, IN_THE_QUEUE) == "1 jobs are followed over this connection already"
        await core.until_end(await core.cancel(first))
        assert first.end is not None


async def test_a_larger_message_than_any_job_is_not_read(url: str, token: str) -> None:
    async with todays_core(url, token) as core:
        with suppress(ConnectionClosed):  # by the time that all of it was sent
            await core.socket.send("x" * (LARGEST_MESSAGE_BYTES + 1))
        await core.socket.wait_closed()
        assert core.socket.close_code == 1009
