"""Sessions: whom a secret lets in, for how long, and that every connection ends with its session."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from slurm_provider.facade.sessions.living import LivingSessions, TooManyConnections
from slurm_provider.jobmap import (
    Door,
    JobChange,
    JobMap,
    Session,
    SessionKind,
    TooManySessions,
    UserMapping,
)
from slurm_provider.jobmap.sessions import hash_of, new_secret
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job

SHELL = Session(SessionKind.SHELL, "user", "hpc", "alice", "54112", rank=0, expires_at=2_000)
FOLDER = replace(SHELL, kind=SessionKind.FOLDER, job_id=None, folder="/4012/data")
SHELLS = [SessionKind.SHELL, SessionKind.FOLDER]


class Clock:
    """A clock that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobmap(tmp_path: Path, clock: Clock) -> Iterator[JobMap]:
    opened = JobMap(tmp_path / "jobs.db", clock)
    running = job(state=JobState.RUNNING)
    opened.add_jobs([(running, JobChange(running.job_id))])
    opened.map_user(UserMapping("user", "alice", "users"))
    yield opened
    opened.close()


def opened(jobmap: JobMap, session: Session = SHELL) -> str:
    secret = new_secret()
    jobmap.sessions.open(secret, session, most=100)
    return secret


def test_a_secret_has_256_bits_and_is_kept_only_as_its_hash(jobmap: JobMap, tmp_path: Path) -> None:
    secret = opened(jobmap)
    assert len(secret) == 43  # base64 of 32 bytes
    jobmap.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in kept
    assert hash_of(secret).encode() in kept


def test_a_secret_lets_in_to_its_own_kind_alone(jobmap: JobMap) -> None:
    secret = opened(jobmap)
    found = jobmap.sessions.valid(secret, SHELLS)
    assert found == replace(SHELL, number=1)
    assert jobmap.sessions.valid(secret, [SessionKind.WEB, SessionKind.COOKIE, SessionKind.VNC]) is None
    assert jobmap.sessions.valid(secret[:-1], SHELLS) is None
    assert jobmap.sessions.valid("", SHELLS) is None
    assert jobmap.sessions.valid("\ud800", SHELLS) is None


def test_a_session_ends_at_its_time_and_lasts_longer_once_it_is_used(jobmap: JobMap, clock: Clock) -> None:
    unused, used = opened(jobmap), opened(jobmap)
    jobmap.sessions.used(2, "192.0.2.1", expires_at=9_000)
    clock.now = 2_000
    assert jobmap.sessions.valid(unused, SHELLS) is None
    assert jobmap.sessions.ended(unused) == "the session has expired"
    assert jobmap.sessions.valid(used, SHELLS)
    assert jobmap.sessions.ended(new_secret()) is None


@pytest.mark.parametrize(
    "change",
    [{"state": JobState.SUCCESS}, {"state": JobState.FAILURE}, {"wished_state": JobState.SUCCESS}],
    ids=str,
)
def test_a_session_dies_with_its_job(jobmap: JobMap, change: dict[str, Any]) -> None:
    secret = opened(jobmap)
    assert jobmap.sessions.invalid([1, 7]) == {7}
    jobmap.apply([JobChange("54112", change)])
    assert jobmap.sessions.valid(secret, SHELLS) is None
    assert jobmap.sessions.ended(secret) == "the job has ended"
    assert jobmap.sessions.invalid([1]) == {1}
    assert jobmap.sessions.overview() == []


def test_a_terminal_in_a_folder_dies_when_its_user_is_no_longer_mapped(jobmap: JobMap) -> None:
    secret = opened(jobmap, FOLDER)
    assert jobmap.sessions.valid(secret, SHELLS)
    jobmap.map_user(UserMapping("user", "bob", "users"))
    assert jobmap.sessions.valid(secret, SHELLS) is None
    assert jobmap.sessions.ended(secret) == "the user is no longer mapped"


def test_a_user_has_only_so_many_sessions_that_are_in_force(jobmap: JobMap, clock: Clock) -> None:
    for _ in range(2):
        jobmap.sessions.open(new_secret(), SHELL, most=2)
    with pytest.raises(TooManySessions):
        jobmap.sessions.open(new_secret(), SHELL, most=2)
    jobmap.sessions.open(new_secret(), replace(SHELL, ucloud_user="other"), most=2)
    clock.now = 2_000
    jobmap.sessions.open(new_secret(), SHELL, most=2)


def test_sessions_are_closed_by_what_is_named_and_stay_closed(jobmap: JobMap) -> None:
    mine, yours = opened(jobmap), opened(jobmap, replace(SHELL, ucloud_user="other"))
    with pytest.raises(ValueError, match="say which"):
        jobmap.sessions.close("by mistake")
    assert jobmap.sessions.close("the job is no longer shared", job_id="54112", except_user="user") == 1
    assert jobmap.sessions.valid(mine, SHELLS)
    assert jobmap.sessions.ended(yours) == "the job is no longer shared"
    assert jobmap.sessions.close("closed by an administrator", number=1) == 1
    assert jobmap.sessions.close("again", job_id="54112") == 0
    assert jobmap.sessions.ended(mine) == "closed by an administrator"
    assert [row["number"] for row in jobmap.sessions.overview(also_ended=True)] == [2, 1]
    assert all("secret_hash" not in row for row in jobmap.sessions.overview(also_ended=True))


# the connections


@pytest.fixture
async def door(jobmap: JobMap, tmp_path: Path, clock: Clock) -> AsyncIterator[Door]:
    opened = await Door.open(tmp_path / "jobs.db", clock)
    yield opened
    await opened.close()


@pytest.fixture
async def living(door: Door) -> AsyncIterator[LivingSessions]:
    sessions = LivingSessions(door, most=2)
    yield sessions
    await sessions.close()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_connection_ends_soon_after_its_session(jobmap: JobMap, living: LivingSessions) -> None:
    opened(jobmap)
    opened(jobmap)
    first = asyncio.create_task(living.run(1, forever()))
    second = asyncio.create_task(living.run(2, forever()))
    jobmap.sessions.close("closed by an administrator", number=1)
    async with asyncio.timeout(10):
        assert await first is False
    assert not second.done()
    await living.close()
    assert await second is False


async def test_a_connection_that_comes_to_its_own_end_says_so(jobmap: JobMap, living: LivingSessions) -> None:
    opened(jobmap)

    async def fail() -> None:
        raise ConnectionResetError

    assert await living.run(1, asyncio.sleep(0)) is True
    with pytest.raises(ConnectionResetError):
        await living.run(1, fail())


async def test_a_session_has_only_so_many_connections(jobmap: JobMap, living: LivingSessions) -> None:
    opened(jobmap)
    both = [asyncio.create_task(living.run(1, forever())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyConnections):
        await living.run(1, forever())
    for connection in both:
        connection.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    assert await living.run(1, asyncio.sleep(0)) is True


async def test_the_work_of_a_connection_ends_with_whoever_runs_it(
    jobmap: JobMap, living: LivingSessions
) -> None:
    opened(jobmap)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    running = asyncio.create_task(living.run(1, work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    async with asyncio.timeout(10):
        await ended.wait()


class DoorThatFails:
    """A door whose first calls fail, as they do while a disk gives errors."""

    def __init__(self, door: Door, failures: int) -> None:
        self._door = door
        self.failures = failures

    async def call(self, *arguments: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return await self._door.call(*arguments)


async def test_sessions_end_their_connections_although_the_job_map_could_not_be_read_for_a_moment(
    jobmap: JobMap, door: Door
) -> None:
    opened(jobmap)
    failing = DoorThatFails(door, failures=2)
    living = LivingSessions(cast(Door, failing), most=2)
    connection = asyncio.create_task(living.run(1, forever()))
    jobmap.sessions.close("closed by an administrator", number=1)
    async with asyncio.timeout(10):
        assert await connection is False
    assert failing.failures == 0
    await living.close()


async def test_while_nobody_can_tell_who_may_stay_nobody_stays_for_long(
    jobmap: JobMap, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(jobmap)
    monkeypatch.setattr("slurm_provider.facade.sessions.living.BLIND_SECONDS", 0)
    living = LivingSessions(cast(Door, DoorThatFails(door, failures=1_000)), most=2)
    async with asyncio.timeout(10):
        assert await living.run(1, forever()) is False
    await living.close()
