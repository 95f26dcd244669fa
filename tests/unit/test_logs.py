"""What is read once reaches everybody who follows, late or slow: all of it, in order, in bounded memory."""

import asyncio
import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from slurm_provider.facade.logs import ring as rings
from slurm_provider.facade.logs.follower import Follower
from slurm_provider.facade.logs.hub import Hub
from slurm_provider.facade.logs.places import Place, Places
from slurm_provider.jobmap import JobOutput
from slurm_provider.rpc.errors import ClusterUnavailable
from slurm_provider.rpc.logs import Logs
from slurm_provider.rpc.v1.logs_pb2 import Drain, FollowRequest, LogChunk, LogFiles, LogSource
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.framing import read_message, write_message
from slurm_provider.sidecar.log_stream import serve_logs
from slurm_provider.ucloud.jobs import JobState

MIB = 1 << 20


class LocalReading:
    """A reading by what an agent runs, in this process."""

    def __init__(self, files: LogFiles) -> None:
        ours, theirs = socket.socketpair()
        self._agent = asyncio.create_task(serve_logs(theirs, Runner({}, 1)))
        self._files = files
        self._socket = ours
        self._ended = asyncio.Event()
        self._closed = False

    def drain(self) -> None:
        self._ended.set()

    async def chunks(self) -> AsyncIterator[LogChunk]:
        self._socket.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=self._socket)
        write_message(writer, FollowRequest(start=self._files))
        draining = asyncio.create_task(self._drain(writer))
        try:
            while not self._closed and (chunk := await read_message(reader, LogChunk)):
                if chunk.at_end:
                    return
                yield chunk
            raise ClusterUnavailable("broken off")
        except OSError as error:
            raise ClusterUnavailable("broken off") from error
        finally:
            draining.cancel()
            writer.close()

    async def _drain(self, writer: asyncio.StreamWriter) -> None:
        await self._ended.wait()
        write_message(writer, FollowRequest(drain=Drain()))

    def close(self) -> None:
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class LocalLogs:
    """Counts the readings."""

    def __init__(self) -> None:
        self.readings: list[LocalReading] = []

    def read(self, files: LogFiles) -> LocalReading:
        self.readings.append(LocalReading(files))
        return self.readings[-1]


class Job:
    """A job that prints when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stdout-0.log"
        self.logs = LocalLogs()
        self._output = JobOutput(
            job_id="1",
            cluster="hpc",
            local_user=pwd.getpwuid(os.getuid()).pw_name,
            folder=str(folder),
            replicas=1,
            tag="uc-1",
            state=JobState.RUNNING,
            has_started=True,
        )
        self.hub = Hub(self._output, cast(Logs, self.logs))
        self._turns = asyncio.Semaphore(1)

    def print(self, text: str) -> None:
        with self.path.open("a") as log:
            log.write(text)

    def end(self) -> None:
        self.hub.note(replace(self._output, state=JobState.SUCCESS))

    def follower(self) -> "Listener":
        follower = Follower(self.hub, self._turns)
        self.hub.readers.add(follower)
        return Listener(follower)


class Listener:
    """Takes texts when it is told to."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self._texts = follower.texts()
        self.heard = ""

    async def until(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text not in self.heard:
                await self.one()

    async def one(self) -> None:
        self.heard += (await anext(self._texts)).text

    async def to_the_end(self) -> str:
        async with asyncio.timeout(20):
            async for text in self._texts:
                self.heard += text.text
        return self.heard


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    async with a_job(tmp_path) as job:
        yield job


@asynccontextmanager
async def a_job(folder: Path) -> AsyncIterator[Job]:
    job = Job(folder)
    yield job
    await job.hub.close()
    for reading in job.logs.readings:
        reading.close()


def numbers(first: int, last: int) -> str:
    return "".join(f"{n}\n" for n in range(first, last + 1))


async def test_a_job_is_read_once_for_all_who_follow_it(job: Job) -> None:
    listeners = [job.follower() for _ in range(5)]
    job.print("begun\n")
    for listener in listeners:
        await listener.until("begun\n")
    job.print("ended\n")
    job.end()
    assert [await listener.to_the_end() for listener in listeners] == ["begun\nended\n"] * 5
    assert len(job.logs.readings) == 1


async def test_one_who_comes_while_everything_is_still_there_joins_at_once(job: Job) -> None:
    first = job.follower()
    job.print("begun\n")
    await first.until("begun\n")
    late = job.follower()
    await late.until("begun\n")
    job.end()
    assert await late.to_the_end() == await first.to_the_end() == "begun\n"
    assert len(job.logs.readings) == 1


async def test_one_who_comes_too_late_for_that_catches_up_and_joins(job: Job) -> None:
    first = job.follower()
    job.print(numbers(1, 400_000))  # 2.7 MB
    await first.until("\n400000\n")
    late = job.follower()
    await late.until("\n400000\n")
    job.print("more\n")
    await first.until("more\n")
    await late.until("more\n")
    assert late.follower.next == first.follower.next is not None
    job.print("last\n")
    job.end()
    assert await late.to_the_end() == await first.to_the_end() == numbers(1, 400_000) + "more\nlast\n"


async def test_one_who_takes_nothing_holds_up_nobody_and_gets_all_in_the_end(job: Job) -> None:
    slow, quick = job.follower(), job.follower()
    job.print("begun\n")
    await slow.until("begun\n")
    job.print(numbers(1, 900_000))  # 6 MB
    await quick.until("\n900000\n")
    job.print("last\n")
    job.end()
    expected = "begun\n" + numbers(1, 900_000) + "last\n"
    assert await quick.to_the_end() == expected
    assert await slow.to_the_end() == expected


async def test_one_who_comes_while_nobody_takes_anything_is_not_held_up(job: Job) -> None:
    slow = job.follower()
    job.print(numbers(1, 900_000))
    await slow.one()
    late = job.follower()
    await late.until("\n900000\n")
    for text in ("more\n", "and more\n"):
        job.print(text)
        await late.until(text)
    assert late.follower.next is not None
    job.end()
    expected = numbers(1, 900_000) + "more\nand more\n"
    assert await late.to_the_end() == expected
    assert await slow.to_the_end() == expected


async def test_the_job_is_read_no_faster_than_somebody_takes_what_it_prints(job: Job) -> None:
    only = job.follower()
    job.print("begun\n")
    await only.until("begun\n")
    job.print(numbers(1, 900_000))
    await only.one()
    await asyncio.sleep(0)
    assert len(job.hub.ring) <= rings.RING_BYTES
    job.end()
    assert await only.to_the_end() == "begun\n" + numbers(1, 900_000)


async def test_reading_goes_on_where_it_broke_off(job: Job) -> None:
    listener = job.follower()
    job.print("begun\n")
    await listener.until("begun\n")
    job.logs.readings[0].close()
    job.print("ended\n")
    job.end()
    assert await listener.to_the_end() == "begun\nended\n"
    assert len(job.logs.readings) == 2


async def test_what_began_anew_reaches_also_those_who_catch_up(job: Job) -> None:
    first = job.follower()
    job.print(numbers(1, 400_000))
    await first.until("\n400000\n")
    late = job.follower()
    await late.one()
    job.path.write_text("anew\n")
    await first.until("anew\n")
    job.print("last\n")
    job.end()
    assert (await first.to_the_end()).endswith("\n400000\nanew\nlast\n")
    assert (await late.to_the_end()).endswith("anew\nlast\n")


def test_a_ring_that_goes_on_from_elsewhere_claims_nothing_that_it_has_forgotten() -> None:
    ring = rings.Ring()
    seen, unseen = (0, LogSource.LOG_SOURCE_STDOUT), (1, LogSource.LOG_SOURCE_STDOUT)
    ring.put(seen, 0, b"a" * 100)
    ring.put(unseen, 0, b"b" * 100)
    caught_up = Places()
    caught_up[seen].move(0, b"a" * 100)
    ring.start_from(caught_up)
    offsets = {(p.rank, p.source): p.offset for p in ring.places.positions()}
    assert offsets == {seen: 100, unseen: 0}
    assert ring.holds_what_follows(unseen, Place())
