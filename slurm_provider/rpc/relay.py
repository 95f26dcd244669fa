"""Beside the sidecar's own address: where connections to jobs change hands, against a ticket.

Beside a Unix socket there is another, over which an open connection itself is passed. Beside TCP there is a
port with mutual TLS, over which its bytes are passed, in pieces with their length in front: an empty piece
says that its sender will send no more, which TLS by itself cannot say.
"""

import asyncio
import ssl

from slurm_provider.config.sections import Tls
from slurm_provider.rpc.wire import PIECE_BYTES, Broken, Wire

TICKET_BYTES = 32
_LENGTH_BYTES = 4
GONE_SECONDS = 2.0
"""How soon it is seen that nobody listens to a silent end any more."""


def unix_relay(sidecar: str) -> str | None:
    """Return the path of the relay beside a sidecar's Unix socket, None for one behind TCP."""
    return f"{sidecar.removeprefix('unix:')}.relay" if sidecar.startswith("unix:") else None


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of `tcp:host:port`."""
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return host.strip("[]"), int(port)


def tls_context(purpose: ssl.Purpose, tls: Tls) -> ssl.SSLContext:
    """Return the rules of one end: TLS 1.2 or newer, both ends with a certificate of the same authority."""
    context = ssl.create_default_context(purpose, cafile=str(tls.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context


Pieces = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""A connection with TLS, on which bytes go in pieces."""


async def relay(plain: Wire, pieces: Pieces) -> None:
    """Pass bytes in both directions until both are done, or one end breaks; close both."""
    reader, writer = pieces
    try:
        async with asyncio.TaskGroup() as ways:
            answers = ways.create_task(_out_of_pieces(reader, plain))
            ways.create_task(_into_pieces(plain, writer, answers))
    except* (Broken, OSError, ValueError, asyncio.IncompleteReadError):
        plain.reset()
    finally:
        plain.close()
        writer.close()


async def _into_pieces(plain: Wire, writer: asyncio.StreamWriter, answers: asyncio.Task[None]) -> None:
    while data := await plain.read(PIECE_BYTES):
        writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)
        await writer.drain()
    writer.write((0).to_bytes(_LENGTH_BYTES))
    await writer.drain()
    # Whoever says no more may still listen, or have gone: an answer that never comes must not be waited for.
    while not answers.done():
        if plain.is_gone:
            raise Broken("the other end has gone")
        await asyncio.wait({answers}, timeout=GONE_SECONDS)


async def _out_of_pieces(reader: asyncio.StreamReader, plain: Wire) -> None:
    while length := int.from_bytes(await reader.readexactly(_LENGTH_BYTES)):
        if length > PIECE_BYTES:
            raise ValueError(f"a piece of {length} bytes is longer than any is sent")
        await plain.send(await reader.readexactly(length))
    plain.end_writing()
