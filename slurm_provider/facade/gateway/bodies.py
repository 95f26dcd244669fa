"""What follows the heads: passed on as it comes, never kept."""

import asyncio

import h11

from slurm_provider.facade.gateway.heads import BadHead, Head, RequestHead, chunks_of
from slurm_provider.rpc.wire import Broken, Wire


async def pass_chunks(source: Wire, target: Wire, head: Head, request: RequestHead, *, rechunk: bool) -> None:
    """Pass a body on that comes in chunks, as chunks or as plain bytes; its trailers are left out.

    Raises Broken when it ends too early, BadHead when it is not understood.
    """
    reading = chunks_of(head, request)
    try:
        while True:
            event = reading.next_event()
            if event is h11.NEED_DATA:
                data = await source.read()
                if not data:
                    raise Broken("the connection ended within a body")
                reading.receive_data(data)
            elif isinstance(event, h11.Data) and event.data:
                data = bytes(event.data)
                await target.send(b"%x\r\n%b\r\n" % (len(data), data) if rechunk else data)
            elif isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError as error:
        raise BadHead(400, f"the chunks of the body could not be understood: {error}") from error
    # What came behind the body belongs to the next message.
    source.buffer[:0] = reading.trailing_data[0]
    if rechunk:
        await target.send(b"0\r\n\r\n")


async def pass_both_ways(one: Wire, other: Wire) -> None:
    """Pass bytes in both directions until both have ended, or one breaks."""
    async with asyncio.TaskGroup() as ways:
        ways.create_task(_one_way(one, other))
        ways.create_task(_one_way(other, one))


async def _one_way(source: Wire, target: Wire) -> None:
    await source.pass_on(target)
    target.end_writing()
