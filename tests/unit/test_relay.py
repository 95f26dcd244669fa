"""The pieces that go over TLS: each end hears what the other says, and that it broke off, if it did."""

import asyncio
import contextlib
import socket

import pytest

from slurm_provider.rpc.relay import Pieces, relay
from slurm_provider.rpc.wire import PIECE_BYTES, Wire


async def ends() -> tuple[Wire, asyncio.Task[None], Pieces]:
    """Return the far end of a relay's plain side, the relay, and the far end of its pieces."""
    plain, ours = socket.socketpair()
    pieces, theirs = socket.socketpair()
    relaying = asyncio.create_task(relay(Wire(ours), await asyncio.open_connection(sock=theirs)))
    return Wire(plain), relaying, await asyncio.open_connection(sock=pieces)


async def test_each_direction_ends_by_itself() -> None:
    plain, relaying, (reader, writer) = await ends()
    await plain.send(b"question")
    plain.end_writing()
    assert await reader.readexactly(12) == b"\0\0\0\x08question"
    assert await reader.readexactly(4) == bytes(4)
    writer.write(b"\0\0\0\x06answer" + bytes(4))
    assert await plain.read() == b"answer"
    assert await plain.read() == b""
    await relaying
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0", b"\0\0\0\x08half", (PIECE_BYTES + 1).to_bytes(4)], ids=["", "2", "half", "long"]
)
async def test_pieces_that_break_off_end_both_sides(sent: bytes) -> None:
    plain, relaying, (reader, writer) = await ends()
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(5):
        await relaying
        assert await plain.read() == b""
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_an_end_that_has_gone_is_noticed_although_the_other_says_nothing() -> None:
    plain, relaying, (reader, writer) = await ends()
    plain.end_writing()
    assert await reader.readexactly(4) == bytes(4)
    assert not relaying.done()
    plain.close()
    async with asyncio.timeout(10):
        await relaying
        assert await reader.read() == b""
    writer.close()
