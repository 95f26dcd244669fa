"""An agent's streams: sent to their end, for their own user, and believed no more than they have to be."""

import asyncio
import errno
import os
import pwd
import socket
from pathlib import Path

import pytest

from slurm_provider.rpc.v1.agent_pb2 import AgentRequest, AgentStreamKind
from slurm_provider.rpc.v1.logs_pb2 import Drain, FollowRequest, LogChunk, LogFiles, LogSource
from slurm_provider.rpc.v1.shell_pb2 import ShellEnded, ShellOutput
from slurm_provider.sidecar.agent_streams import _serve
from slurm_provider.sidecar.agents import Agent
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.framing import STREAM_LIMIT, read_message, write_message
from slurm_provider.sidecar.log_file import CHUNK_BYTES
from slurm_provider.sidecar.logs import check
from slurm_provider.sidecar.shell_stream import FAREWELL_SECONDS, Stream
from slurm_provider.sidecar.shells import plain

NAME = pwd.getpwuid(os.getuid()).pw_name
LOGS = AgentStreamKind.AGENT_STREAM_KIND_LOGS
STDOUT = LogSource.LOG_SOURCE_STDOUT


async def start_logs(local_user: str, folder: Path) -> tuple[asyncio.StreamReader, asyncio.Task[None]]:
    """Follow a job that has ended, over a connection that holds little."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    serving = asyncio.create_task(_serve(LOGS, theirs, Runner({}, 1)))
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1024)
    files = LogFiles(local_user=local_user, folder=str(folder), replicas=1)
    write_message(writer, FollowRequest(start=files))
    write_message(writer, FollowRequest(drain=Drain()))
    return reader, serving


async def test_a_log_is_sent_to_its_end_to_whoever_reads_slowly(tmp_path: Path) -> None:
    (tmp_path / "stdout-0.log").write_bytes(bytes(40_000))
    reader, serving = await start_logs(NAME, tmp_path)
    await asyncio.wait({serving}, timeout=0.3)
    async with asyncio.timeout(10):
        first = await read_message(reader, LogChunk)
        last = await read_message(reader, LogChunk)
        await serving
    assert first is not None
    assert len(first.data) == 40_000
    assert last == LogChunk(at_end=True)


async def test_nobody_is_shown_a_log_by_another_users_agent(tmp_path: Path) -> None:
    (tmp_path / "stdout-0.log").write_bytes(b"secret")
    reader, serving = await start_logs("somebody-else", tmp_path)
    async with asyncio.timeout(10):
        assert await read_message(reader, LogChunk) is None
        await serving


async def test_a_stream_that_has_ended_is_not_watched_any_more() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    number = theirs.fileno()
    kind = AgentStreamKind.AGENT_STREAM_KIND_SHELL
    serving = asyncio.create_task(_serve(kind, theirs, Runner({}, 1)))
    ours.sendall(b"\0\0\0\0")  # not a start
    async with asyncio.timeout(10):
        await serving
    assert not asyncio.get_running_loop().remove_reader(number)
    ours.close()


@pytest.mark.parametrize(
    "chunk",
    [
        LogChunk(rank=2, source=STDOUT),
        LogChunk(rank=0, data=b"from nowhere"),
        LogChunk(rank=0, source=STDOUT, data=bytes(CHUNK_BYTES + 1)),
    ],
    ids=["rank", "source", "size"],
)
def test_what_is_no_part_of_the_output_is_not_handed_on(chunk: LogChunk) -> None:
    with pytest.raises(ValueError, match="no part of the job's output"):
        check(chunk, 2)


def test_what_is_part_of_the_output_is_handed_on() -> None:
    check(LogChunk(rank=1, source=STDOUT, data=bytes(CHUNK_BYTES)), 2)
    check(LogChunk(at_end=True), 2)


async def test_no_message_of_a_stream_is_longer_than_it_has_to_be() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data((STREAM_LIMIT + 1).to_bytes(4))
    with pytest.raises(ValueError, match="longer than any call needs"):
        await read_message(reader, LogChunk, STREAM_LIMIT)


def test_the_reason_of_an_end_is_one_short_line() -> None:
    assert plain("The shell\x1b[2J has\nended.") == "The shell[2J hasended."
    assert len(plain("x" * 10_000)) == 500


async def test_the_last_output_of_a_shell_waits_for_its_reader() -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    _, writer = await asyncio.open_unix_connection(sock=theirs)
    stream = Stream(writer)
    await stream.show(bytes(40_000))
    stream.end("The shell has ended.")
    await asyncio.wait({asyncio.create_task(asyncio.sleep(2 * FAREWELL_SECONDS))})
    reader, ours_writer = await asyncio.open_unix_connection(sock=ours)
    async with asyncio.timeout(10):
        assert await read_message(reader, ShellOutput) == ShellOutput(data=bytes(40_000))
        end = ShellOutput(ended=ShellEnded(reason="The shell has ended."))
        assert await read_message(reader, ShellOutput) == end
    ours_writer.close()
    writer.transport.abort()


async def test_an_agent_that_reads_nothing_is_ended_all_the_same() -> None:
    calls, theirs = socket.socketpair()
    door, _their_door = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=calls)
    agent = Agent(0, reader, writer, door)
    request = AgentRequest(request_id="x" * (4 << 20))
    call = asyncio.create_task(agent.call(request))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await agent.close()
        await asyncio.wait({call})
    assert call.exception() is not None
    theirs.close()


async def test_a_log_that_could_not_be_read_is_not_said_to_be_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    (tmp_path / "stdout-0.log").write_bytes(b"text")
    monkeypatch.setattr("slurm_provider.sidecar.log_file.os.open", full)
    reader, serving = await start_logs(NAME, tmp_path)
    async with asyncio.timeout(10):
        assert await read_message(reader, LogChunk) is None
        await serving
