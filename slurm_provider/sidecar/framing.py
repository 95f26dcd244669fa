"""Length-prefixed protobuf messages on a stream socket: four bytes, big-endian, then the message."""

import asyncio
from typing import TypeVar

from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)

_LENGTH_BYTES = 4
_LIMIT = 64 << 20


async def read_message(reader: asyncio.StreamReader, kind: type[AnyMessage]) -> AnyMessage | None:
    """Return the next message, or None when the other end has closed the socket."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
        if length > _LIMIT:
            raise ValueError(f"a message of {length} bytes is longer than any call needs")
        return kind.FromString(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None


def write_message(writer: asyncio.StreamWriter, message: Message) -> None:
    """Queue a message for sending."""
    body = message.SerializeToString()
    writer.write(len(body).to_bytes(_LENGTH_BYTES) + body)
