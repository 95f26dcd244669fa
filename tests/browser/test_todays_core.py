"""What a browser shows of a provider behind today's Core."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.portal import Portal
from tests.browser.terminals import Terminal
from tests.cluster.conftest import fresh_folder
from tests.support.applications import template
from tests.support.jobs import application
from tests.support.stack import Stack, free_port, running_stack
from tests.support.visit import visitable


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """As for the other tests, but with today's Core."""
    async with running_stack(fresh_folder("browser-today"), visitable(era="today")) as stack:
        yield stack
        assert await stack.core.violations() == []


async def test_a_job_is_followed_and_has_a_terminal(portal: Portal) -> None:
    script = "echo begun; echo wrong >&2; until [ -e /work/go-on ]; do sleep 0.2; done; echo gone on"
    job_id = await portal.running(script=script, replicas=2)
    page = await portal.open("job.html", id=job_id)
    await expect(page.locator("#log-1 .stdout")).to_have_text("begun\n")
    await expect(page.locator("#log-1 .stderr")).to_have_text("wrong\n")
    terminal = await Terminal.of(portal, job_id, rank=1)
    await terminal.type("cat /etc/ucloud/rank.txt; touch go-on\n")
    await terminal.shows_line("1")
    await expect(page.locator("#log-0")).to_contain_text("gone on")
    await expect(page.locator("#log-1")).to_contain_text("gone on")
    await expect(page.locator("#state")).to_have_text("SUCCESS")
    await expect(page.locator("body")).to_have_attribute("data-follow", "ended")


def board(port: int) -> Any:
    """An application that announces a window beside its own."""
    made = copy.deepcopy(application("native-script"))
    made["metadata"]["name"] = "board"
    serve = f"echo '<h1>The board</h1>' >index.html; exec python3 -m http.server {port}"
    announce = f"{{{{ dynamicInterface(0, 'WEB', 'board', {port}) }}}}"
    made["invocation"] |= {"applicationType": "WEB", "web": {"port": None}, "parameters": []}
    made["invocation"]["invocation"] = [template(announce + serve)]
    return made


async def test_a_window_that_an_application_announces_is_offered_and_opens(portal: Portal) -> None:
    await portal.stack.core.add_application(board(free_port()))
    job_id = await portal.running("board")
    page = await portal.open("job.html", id=job_id)
    async with portal.context.expect_page() as opened:
        await page.get_by_role("button", name="board").click()
    window = await opened.value
    await expect(window.get_by_role("heading", name="The board")).to_be_visible()
    assert window.url.startswith(f"http://app-{job_id}-0-board.apps.localhost:")
    await portal.shot(page, "offered")
