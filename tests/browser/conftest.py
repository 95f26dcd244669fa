"""A real browser before a real provider. Screenshots are kept in test-artefacts/."""

import os
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.browser.portal import Portal
from tests.cluster.conftest import fresh_folder
from tests.support.processes import ROOT
from tests.support.stack import Settings, Stack, free_port, running_stack

ARTEFACTS = ROOT / "test-artefacts"
CHROMIUM = "/usr/bin/chromium"
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
OFFLINE = ["--disable-background-networking", "--disable-component-update"]

# Chromium takes all names below .localhost for this machine, and trusts them as it does https.
SITE = """
[web]
listen = "127.0.0.1:{port}"
scheme = "http"
port = {port}
suffix = ".apps.localhost"

[[public_links]]
category = "example-ingress"
id = "example-ingress"
prefix = "link-"
suffix = ".apps.localhost"
"""


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    expect.set_options(timeout=30_000)
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
    more = SITE.format(port=free_port())
    async with running_stack(fresh_folder("browser"), Settings(more=more)) as stack:
        yield stack
        assert await stack.core.violations() == []


@pytest_asyncio.fixture(loop_scope="session")
async def portal(browser: Browser, stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Portal]:
    """The portal's pages in a browser of a user; a screenshot of each is taken at the end."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    portal = Portal(context, stack, ARTEFACTS, _name_of(request))
    yield portal
    await _keep(context, portal)
    await context.close()
    assert portal.errors == []


async def _keep(context: BrowserContext, portal: Portal) -> None:
    for number, page in enumerate(context.pages):
        await portal.shot(page, f"end-{number}")


def _name_of(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+", "-", request.node.name.removeprefix("test_"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the screenshots are."""
    if ARTEFACTS.exists():
        terminalreporter.write_line(f"screenshots: {ARTEFACTS}")
