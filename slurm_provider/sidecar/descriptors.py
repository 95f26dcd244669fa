"""A message and an open file over a Unix socket that does not block."""

import asyncio
import socket

from google.protobuf.message import Message

from slurm_provider.rpc.handed import MOST_DESCRIPTORS, close_aside

_PACKET_BYTES = 65536


def frame(message: Message) -> bytes:
    """Return a message with its length in front, as framing.py reads it."""
    body = message.SerializeToString()
    return len(body).to_bytes(4) + body


async def send_with(connection: socket.socket, data: bytes, descriptor: int | None) -> None:
    """Send what is small enough for one piece, with an open file if there is one."""
    descriptors = [] if descriptor is None else [descriptor]
    if socket.send_fds(connection, [data], descriptors) != len(data):
        raise OSError("the other end does not read")


async def receive_with(connection: socket.socket) -> tuple[bytes, int | None]:
    """Return the next piece, b"" at the end, and the first open file that came with it."""
    await readable(connection)
    data, descriptors, _, _ = socket.recv_fds(connection, _PACKET_BYTES, MOST_DESCRIPTORS)
    for descriptor in descriptors[1:]:
        close_aside(descriptor)
    return data, descriptors[0] if descriptors else None


async def readable(connection: socket.socket) -> None:
    """Wait until there is something to be read, or the end."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(connection, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(connection)
