"""Who is let in by the gateway, and how little work those cause who are not."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.facade.gateway.authorize import Authorizer
from slurm_provider.facade.gateway.heads import RequestHead
from slurm_provider.facade.gateway.pages import Page
from slurm_provider.jobmap import Door, JobChange, JobMap, PublicLink, Session, SessionKind
from slurm_provider.jobmap.sessions import new_secret
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job
from tests.unit.running_facade import running_facade

WEB = '[web]\nsuffix = ".apps.example.org"\n'
DOMAIN = "app-54112-0.apps.example.org"
LINK = Session(SessionKind.WEB, "user", "hpc", "alice", "54112", rank=0, expires_at=2**33)


class CountedDoor:
    """A door that counts how often it is gone through."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.calls = 0
        self.before: Callable[[JobMap], Any] | None = None
        """What happens between the first call and the second."""

    async def call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 2 and self.before:
            await self._door.call(self.before)
        return await self._door.call(method, *arguments, **named)


class Gate:
    """The authorizer, and a way to ask it."""

    def __init__(self, authorizer: Authorizer, door: CountedDoor) -> None:
        self.door = door
        self._authorizer = authorizer

    async def opened(self, token: str) -> bytes:
        target = f"/ucloud/example/authorize-app?token={token}"
        answer = await self._authorizer.authorize(_head(target), "192.0.2.1")
        assert answer is not None
        return answer

    async def led_to(self, *secrets: str, host: str = DOMAIN) -> Any:
        cookies = [(b"cookie", f"__Host-ucloud-session={secret}".encode()) for secret in secrets]
        return await self._authorizer.place(_head("/", *cookies, host=host), "192.0.2.1")


def _head(target: str, *headers: tuple[bytes, bytes], host: str = DOMAIN) -> RequestHead:
    return RequestHead([(b"host", host.encode()), *headers], b"1.1", b"", b"GET", target.encode())


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    text = WEB + 'listen = "127.0.0.1:0"\n'
    async with running_facade(tmp_path, text) as facade:
        door = CountedDoor(facade.services.jobmap)
        row = job(state=JobState.RUNNING)
        await facade.services.jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])
        services: Any = facade.services
        yield Gate(Authorizer(services.config, door, services.clock), door)  # type: ignore[arg-type]


async def opened(gate: Gate, **changes: Any) -> str:
    secret = new_secret()
    session = replace(LINK, **changes)
    await gate.door._door.call(lambda jobmap: jobmap.sessions.open(secret, session, most=100))
    return secret


def _cookie_in(answer: bytes) -> str:
    return answer.partition(b"__Host-ucloud-session=")[2].partition(b";")[0].decode()


async def test_a_link_gives_a_cookie_that_leads_to_the_job(gate: Gate) -> None:
    cookie = _cookie_in(await gate.opened(await opened(gate)))
    gate.door.calls = 0
    place = await gate.led_to(new_secret(), cookie)
    assert (place.job.job_id, place.rank, place.session.ucloud_user) == ("54112", 0, "user")
    assert gate.door.calls == 1


@pytest.mark.parametrize("shape", ["x", "y" * 43])
async def test_whoever_is_not_let_in_is_looked_up_in_one_go(gate: Gate, shape: str) -> None:
    with pytest.raises(Page) as page:
        await gate.led_to(*[shape] * 30)
    assert (page.value.status, gate.door.calls) == (401, 1)
    gate.door.calls = 0
    with pytest.raises(Page) as page:
        await gate.opened(shape)
    assert (page.value.status, gate.door.calls) == (401, 1)


async def test_a_cookie_of_something_else_and_one_that_has_ended_are_refused_in_words(gate: Gate) -> None:
    other = await opened(gate, kind=SessionKind.COOKIE, rank=1)
    ended = await opened(gate, kind=SessionKind.COOKIE)
    await gate.door._door.call(lambda jobmap: jobmap.sessions.close("the site has closed it", number=2))
    for secret, why in ((other, "is with something else"), (ended, "The site has closed it")):
        with pytest.raises(Page) as page:
            await gate.led_to(secret)
        assert why in page.value.text


async def test_a_link_that_is_closed_while_it_is_opened_lets_nobody_in(gate: Gate) -> None:
    token = await opened(gate)
    gate.door.before = lambda jobmap: jobmap.sessions.close("the job is no longer shared", number=1)
    with pytest.raises(Page) as page:
        await gate.opened(token)
    assert "The job is no longer shared" in page.value.text
    rows = await gate.door._door.call(lambda jobmap: jobmap.sessions.overview(also_ended=True))
    assert [row["kind"] for row in rows] == ["WEB"]


async def test_a_public_link_is_found_in_one_go_and_says_when_no_job_has_it(gate: Gate) -> None:
    link = PublicLink("41231", "app-mine.apps.example.org", "links", "links", "user", None, 4_000)
    await gate.door._door.call(lambda jobmap: jobmap.links.add([link]))
    with pytest.raises(Page) as page:
        await gate.led_to(host=link.domain)
    assert (page.value.status, gate.door.calls) == (503, 1)
