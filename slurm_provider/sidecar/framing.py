"""Length-prefixed protobuf messages on a stream socket: four bytes, big-endian, then the message."""

import asyncio
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)

_LENGTH_BYTES = 4
_LIMIT = 64 << 20
STREAM_LIMIT = 128 << 10
"""For the messages of streams, which carry what a log or a terminal holds in pieces of half this size."""


async def read_message(
    reader: asyncio.StreamReader, kind: type[AnyMessage], limit: int = _LIMIT
) -> AnyMessage | None:
    """Return the next message, or None when the other end has closed the socket.

    Raises ValueError or DecodeError for what no other end of ours would send.
    """
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
        if length > limit:
            raise ValueError(f"a message of {length} bytes is longer than any call needs")
        return kind.FromString(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None


def write_message(writer: asyncio.StreamWriter, message: Message) -> None:
    """Queue a message for sending."""
    body = message.SerializeToString()
    writer.write(len(body).to_bytes(_LENGTH_BYTES) + body)


async def finish(writer: asyncio.StreamWriter) -> None:
    """Close a connection when all is sent: at once when its other end is gone, or this is cancelled."""
    writer.close()
    try:
        with suppress(ConnectionError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()
