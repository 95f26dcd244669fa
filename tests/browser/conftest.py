"""A real browser before a real provider. Screenshots are kept in test-artefacts/."""

import os
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.portal import Portal
from tests.cluster.conftest import fresh_folder
from tests.conftest import ARTEFACTS
from tests.support.stack import Stack, running_stack
from tests.support.visit import visitable

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
OFFLINE = ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    expect.set_options(timeout=60_000)
    # Its sandbox does not start for root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*sandbox, *QUIET, *OFFLINE]
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """A provider whose web applications a browser on this machine can reach.

    At the end of the run the strict stand-in must have seen no breach of the protocol.
    """
    async with running_stack(fresh_folder("browser"), visitable()) as stack:
        yield stack
        assert await stack.core.violations() == []


@pytest_asyncio.fixture(loop_scope="session")
async def portal(browser: Browser, stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Portal]:
    """The portal's pages in a browser of a user; a screenshot of the last is taken at the end."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    portal = Portal(context, stack, ARTEFACTS, _name_of(request))
    yield portal
    for page in context.pages[-1:]:
        await portal.shot(page, "end")
    await context.close()
    await portal.end_jobs()
    assert portal.errors == []


def _name_of(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+", "-", request.node.name.removeprefix("test_"))
