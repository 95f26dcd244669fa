"""A virtual machine as its user sees it: the console in xterm.js, the screen in noVNC."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.desktops import COLOURS, PICTURE, open_desktop
from tests.browser.portal import Portal
from tests.browser.terminals import Terminal
from tests.cluster.conftest import fresh_folder
from tests.cluster.test_virtual_machines import PRODUCTS, SITE
from tests.support.processes import ROOT
from tests.support.stack import Stack, running_stack
from tests.support.visit import visitable


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """A provider whose products run virtual machines."""
    guest = Path("/var/tmp/slurm-provider-guest")
    subprocess.run([ROOT / "scripts/test-guest", guest], check=True, timeout=600)
    settings = visitable(products=PRODUCTS, more=SITE.format(guest=guest))
    async with running_stack(fresh_folder("browser-machines"), settings) as stack:
        yield stack
        assert await stack.core.violations() == []


async def test_a_virtual_machine_has_a_console_and_a_screen(portal: Portal) -> None:
    job_id = await portal.running("small-machine")
    console = await Terminal.of(portal, job_id, prompt="second 2 of start 1")
    await console.type("hello from the browser\n")
    await console.shows("you said: hello from the browser")
    await portal.shot(console.page, "console")

    screen = await open_desktop(portal, job_id)
    await screen.wait_for_function(f"() => ({COLOURS})().colours > 1")
    assert (await screen.evaluate(PICTURE)).startswith("data:image/png")
    await portal.shot(screen, "screen")
