"""What an agent's user hands up cannot hold up anybody: not when it is read, and not when it is closed."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from slurm_provider.rpc.handed import agent_pair, close_handed, handed_connection
from slurm_provider.rpc.wire import Wire
from slurm_provider.sidecar.descriptors import receive_with
from slurm_provider.sidecar.tickets import Tickets

LINGER_SECONDS = 5


def stubborn() -> tuple[socket.socket, socket.socket]:
    """Return a connection whose plain close takes LINGER_SECONDS, since its other end reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(1 << 20))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
    return ours, theirs


def in_wire(connection: socket.socket) -> None:
    Wire(connection).close()


def reset_in_wire(connection: socket.socket) -> None:
    Wire(connection).reset()


def as_ticket(connection: socket.socket) -> None:
    tickets = Tickets()
    tickets.add(connection)
    tickets.close()


def unread(connection: socket.socket) -> None:
    ours, theirs = agent_pair()
    socket.send_fds(theirs, [b"x"], [connection.fileno()])
    connection.close()
    ours.close()
    theirs.close()


def read_without_asking(connection: socket.socket) -> None:
    ours, theirs = agent_pair()
    socket.send_fds(theirs, [b"x"], [connection.fileno()])
    connection.close()
    assert ours.recv(10) == b"x"
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "close", [close_handed, in_wire, reset_in_wire, as_ticket, unread, read_without_asking]
)
async def test_nobody_waits_for_a_connection_that_lingers(close: Callable[[socket.socket], None]) -> None:
    ours, theirs = stubborn()
    began = time.monotonic()
    close(ours)
    assert time.monotonic() - began < LINGER_SECONDS / 2
    theirs.close()


async def test_only_the_first_open_file_of_an_answer_is_kept() -> None:
    ours, theirs = agent_pair()
    ours.setblocking(False)
    reading, writing = os.pipe()
    socket.send_fds(theirs, [b"answer"], [theirs.fileno(), writing])
    os.close(writing)
    data, descriptor = await receive_with(ours)
    assert data == b"answer"
    assert descriptor is not None
    os.close(descriptor)
    assert await asyncio.to_thread(os.read, reading, 1) == b""
    os.close(reading)
    ours.close()
    theirs.close()


def opened(kind: str, folder: Path) -> int:
    if kind == "file":
        return os.open(folder / "file", os.O_CREAT | os.O_RDWR)
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM).detach()


@pytest.mark.parametrize("kind", ["file", "unix", "udp"])
def test_what_is_no_tcp_connection_is_refused_and_closed(kind: str, tmp_path: Path) -> None:
    descriptor = opened(kind, tmp_path)
    assert handed_connection(descriptor) is None
    deadline = time.monotonic() + 5
    while Path(f"/proc/self/fd/{descriptor}").exists():
        assert time.monotonic() < deadline


def test_a_tcp_connection_is_taken() -> None:
    handed = handed_connection(opened("tcp", Path()))
    assert handed is not None
    assert not handed.getblocking()
    handed.close()


def test_no_process_of_the_user_may_look_into_the_agent() -> None:
    program = "from slurm_provider.sidecar.agent import be_private, ctypes; be_private();"
    get_dumpable = f"{program} print(ctypes.CDLL(None).prctl(3))"
    assert subprocess.check_output([sys.executable, "-c", get_dumpable]) == b"0\n"
