"""What Core's answers mean: only a refusal that is surely Core's own ends a call for ever."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import Core
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from tests.support.tiny_core import REFRESH, Reply, TinyCore, tiny_core, token

UPDATE = "/api/jobs/control/update"
BROWSE = "/api/jobs/control/browse"
NOT_FOUND = Reply(404, {"why": "Not found or permission denied (54112)", "errorCode": None})


@dataclass
class Line:
    """A client and the Core that it talks to."""

    core: TinyCore
    client: CoreClient


@pytest_asyncio.fixture(loop_scope="session")
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    (tmp_path / "provider.pub").touch()
    (tmp_path / "refresh-token").write_text("a token\n")
    async with tiny_core() as core:
        section = Core(
            url=core.url,
            public_key_file=tmp_path / "provider.pub",
            refresh_token_file=tmp_path / "refresh-token",
            timeout_seconds=1,
        )
        async with CoreClient(section) as client:
            yield Line(core, client)


async def test_a_refusal_with_a_reason_is_cores_own(line: Line) -> None:
    line.core.reply = lambda _path, _body: NOT_FOUND
    with pytest.raises(CoreRefused, match="Not found or permission denied"):
        await line.client.update(["{}"])
    assert [path for path, _ in line.core.calls] == [REFRESH, UPDATE]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 405, 413, 500, 502, 503])
@pytest.mark.parametrize("body", ["<html>nginx</html>", "", {"error": "no route"}, [], {"why": None}])
async def test_an_answer_without_a_reason_is_tried_again(line: Line, status: int, body: Any) -> None:
    line.core.reply = lambda _path, _body: Reply(status, body)
    with pytest.raises(CoreUnavailable, match=str(status)):
        await line.client.update(["{}"])


@pytest.mark.parametrize("status", [301, 307, 408, 429, 449, 500, 503])
async def test_a_reason_does_not_make_a_refusal_of_what_may_pass(line: Line, status: int) -> None:
    line.core.reply = lambda _path, _body: Reply(status, {"why": "Not now"})
    with pytest.raises(CoreUnavailable, match="Not now"):
        await line.client.update(["{}"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
async def test_a_refresh_token_that_core_refuses_is_tried_again(line: Line, status: int) -> None:
    line.core.reply_refresh = lambda: Reply(status, {"why": "Unauthorized"})
    with pytest.raises(CoreUnavailable, match="Unauthorized"):
        await line.client.update(["{}"])
    assert UPDATE not in [path for path, _ in line.core.calls]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [{"why": "Forbidden"}, "<html>Forbidden</html>"])
async def test_a_token_that_core_does_not_take_is_renewed_once(line: Line, status: int, body: Any) -> None:
    line.core.reply = lambda _path, _body: Reply(status, body)
    with pytest.raises(CoreUnavailable, match="does not take our token"):
        await line.client.update(["{}"])
    another_call = [BROWSE] if status == 403 else []
    assert [path for path, _ in line.core.calls] == [REFRESH, UPDATE, REFRESH, UPDATE, *another_call]


async def test_a_403_is_a_refusal_when_core_takes_the_token_for_another_call(line: Line) -> None:
    forbidden = Reply(403, {"why": "Forbidden"})
    line.core.reply = lambda path, _body: Reply(200, {"items": []}) if path == BROWSE else forbidden
    with pytest.raises(CoreRefused, match="Forbidden"):
        await line.client.update(["{}"])


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {"responses": [{"accessToken": "no token"}]}),
        Reply(200, {"responses": [{"accessToken": ""}]}),
        Reply(200, {"responses": []}),
        token(sub="#P_example"),
        token(exp="soon"),
        token(exp=None),
    ],
)
async def test_a_token_that_is_none_is_tried_again(line: Line, answer: Reply) -> None:
    line.core.reply_refresh = lambda: answer
    for _ in range(2):
        with pytest.raises(CoreUnavailable):
            await line.client.update(["{}"])
    assert [path for path, _ in line.core.calls] == [REFRESH, REFRESH]


@pytest.mark.parametrize("path", [REFRESH, UPDATE])
async def test_an_answer_that_trickles_is_given_up(line: Line, path: str) -> None:
    trickle = Reply(200, " " * 200, slowly=True)
    if path == REFRESH:
        line.core.reply_refresh = lambda: trickle
    else:
        line.core.reply = lambda _path, _body: trickle
    begun = time.monotonic()
    with pytest.raises(CoreUnavailable, match="does not answer"):
        await line.client.update(["{}"])
    assert time.monotonic() - begun < 5
