"""Wires: bytes arrive whole, writers wait, and nobody who shares a connection can hold up all others."""

import asyncio
import os
import random
import socket

import pytest

from slurm_provider.rpc.wire import PIECE_BYTES, Broken, Wire

BIG = random.Random(1).randbytes(5 * PIECE_BYTES + 7)


def pair() -> tuple[Wire, Wire]:
    one, other = socket.socketpair()
    return Wire(one), Wire(other)


async def all_of(wire: Wire) -> bytes:
    received = b""
    while data := await wire.read():
        received += data
    return received


async def test_what_is_passed_on_is_exactly_as_long_as_it_is_to_be() -> None:
    (sender, source), (target, receiver) = pair(), pair()
    sending = asyncio.create_task(sender.send(BIG + b"next"))
    receiving = asyncio.create_task(all_of(receiver))
    await source.pass_on(target, len(BIG))
    target.end_writing()
    assert await receiving == BIG
    await sending
    assert await source.read(4) == b"next"


async def test_what_was_read_already_is_passed_on_first() -> None:
    (sender, source), (target, receiver) = pair(), pair()
    await sender.send(b"head\r\n\r\nbody and more")
    assert await source.head(100) == b"head\r\n\r\n"
    await source.pass_on(target, 4)
    target.close()
    assert await all_of(receiver) == b"body"
    assert source.take(100) == b" and more"


async def test_an_end_that_comes_too_early_is_noticed() -> None:
    (sender, source), (target, _receiver) = pair(), pair()
    await sender.send(b"abc")
    sender.close()
    with pytest.raises(Broken):
        await source.pass_on(target, 4)
    sender, source = pair()
    await sender.send(b"GET /")
    sender.close()
    with pytest.raises(Broken):
        await source.head(100)


async def test_a_head_has_a_longest_length() -> None:
    for text in (b"x" * 200, b"x" * 98 + b"\r\n\r\n"):
        sender, source = pair()
        await sender.send(text)
        with pytest.raises(ValueError, match="too long"):
            await source.head(100)


async def test_nobody_who_shares_a_connection_can_make_its_reader_or_writer_block() -> None:
    one, other = socket.socketpair()
    wire, shared = Wire(one), os.dup(one.fileno())
    os.set_blocking(shared, True)  # it is one and the same for both
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wire.read()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wire.send(BIG * 10)
    assert wire.is_quiet
    os.close(shared)
    other.close()


async def test_a_wire_that_waits_is_quiet_until_something_comes_or_it_ends() -> None:
    for act in (lambda w: w.send(b"x"), lambda w: asyncio.to_thread(w.close)):
        other, wire = pair()
        assert wire.is_quiet
        await act(other)
        assert not wire.is_quiet
