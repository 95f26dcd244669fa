"""The last words to a browser."""

import asyncio
from contextlib import suppress

from slurm_provider.facade.gateway.pages import Page
from slurm_provider.rpc.wire import Broken, Wire

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4 << 20


async def part(browser: Wire) -> None:
    """End the connection so that all of the answer can be read by a browser that may still be sending."""
    browser.end_writing()
    left = _LINGER_BYTES
    with suppress(TimeoutError, Broken):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (data := await browser.read()):
                left -= len(data)


async def turn_away(browser: Wire, page: Page) -> None:
    """Say why nothing is read of a connection, and close it."""
    try:
        # So little has room in a connection that is new.
        browser.send_now(memoryview(page.response(html=False)))
        await part(browser)
    except Broken:
        pass  # gone already
    finally:
        browser.close()
