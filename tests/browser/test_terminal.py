"""The document's example "Starting an interactive terminal session", in a browser with xterm.js."""

import pytest
from playwright.async_api import expect

from tests.browser.portal import Portal
from tests.browser.terminals import Terminal


@pytest.fixture
async def terminal(portal: Portal) -> Terminal:
    """A terminal in rank 1 of a running job."""
    return await Terminal.of(portal, await portal.running(replicas=2, script="sleep 600"), rank=1)


async def test_a_user_types_into_the_shell_of_rank_1(terminal: Terminal, portal: Portal) -> None:
    await terminal.type("cat /etc/ucloud/rank.txt; id -un\n")
    await terminal.shows_line("1")
    await terminal.shows_line("alice")
    await terminal.type("echo 'ñ → Ωμέγα 漢字 🙂' | tee words.txt | wc -m\n")
    await terminal.shows_line("15")
    await terminal.type("cat words.txt\n")
    await terminal.shows_line("ñ → Ωμέγα 漢字 🙂")
    await terminal.type("echo as''leep; sleep 1000\n")
    await terminal.shows_line("asleep")
    await terminal.press("Control+C")
    await terminal.type("echo status $?\n")
    await terminal.shows_line("status 130")
    await portal.shot(terminal.page, "typed")


async def test_an_editor_fills_the_screen_and_follows_its_size(terminal: Terminal, portal: Portal) -> None:
    await terminal.type("seq -f 'line %g' 500 >numbers; vim.tiny numbers\n")
    await terminal.shows_line("line 20")
    await terminal.type("G")
    await terminal.shows_line("line 500")
    await terminal.type("Oñandú Ω\x1b:w\n")
    await terminal.shows("501L")
    await portal.shot(terminal.page, "editor")
    rows = len(await terminal.lines())
    await terminal.page.set_viewport_size({"width": 900, "height": 500})
    await terminal.page.wait_for_function("before => terminal.rows < before", arg=rows)
    await terminal.type(":q\n")
    rows, columns = len(await terminal.lines()), await terminal.page.evaluate("terminal.cols")
    # What is typed may arrive before the new size does.
    await terminal.type(f"until stty size | grep '^{rows} {columns}$'; do sleep 1; done; tail -n 2 numbers\n")
    await terminal.shows_line(f"{rows} {columns}")
    await terminal.shows_line("ñandú Ω")


async def test_a_connection_that_is_lost_is_made_again_by_itself(terminal: Terminal) -> None:
    await terminal.type("echo before\n")
    await terminal.shows_line("before")
    await terminal.page.evaluate("dropConnection()")
    await expect(terminal.page.locator("body")).to_have_attribute("data-connections", "2")
    await terminal.shows("$ ")
    await terminal.type("echo aft''er\n")
    await terminal.shows_line("after")


async def test_the_terminal_says_when_its_job_has_ended(terminal: Terminal, portal: Portal) -> None:
    job_id = terminal.page.url.partition("id=")[2].partition("&")[0]
    await portal.stack.core.terminate_as_user("user", job_id)
    await expect(terminal.page.locator("#message")).to_have_text(
        "the job has ended; there is nothing left to connect to"
    )
    await expect(terminal.page.get_by_role("button", name="Connect again")).to_be_visible()


async def test_a_terminal_ends_with_the_access_to_its_job(portal: Portal) -> None:
    core = portal.stack.core
    job_id = await portal.running(script="sleep 600")
    bob = {"type": "user", "username": "bob"}
    await core.update_acl_as_user("user", job_id, add=[{"entity": bob, "permissions": ["READ", "EDIT"]}])
    terminal = await Terminal.of(portal, job_id, user="bob")
    await terminal.type("echo still h''ere\n")
    await terminal.shows_line("still here")
    await core.update_acl_as_user("user", job_id, delete=[bob])
    await expect(terminal.page.locator("#message")).to_have_text(f"Not found or permission denied ({job_id})")
