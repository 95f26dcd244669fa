"""The document's example "Using a remote desktop Application (VNC)", in a browser with noVNC."""

from playwright.async_api import expect

from tests.browser.desktops import COLOURS, PICTURE, open_desktop
from tests.browser.portal import Portal


async def test_a_key_press_changes_the_picture_of_the_desktop(portal: Portal) -> None:
    page = await open_desktop(portal, await portal.running("acme-remote-desktop"))
    # The terminal on the desktop is white, with a prompt in another colour.
    await page.wait_for_function(f"() => ({COLOURS})().white > 200000 && ({COLOURS})().colours > 2")
    before = await page.evaluate(PICTURE)
    await page.keyboard.press("x")
    await page.wait_for_function(f"before => {PICTURE} !== before", arg=before)
    await page.keyboard.type("clock is no command\n")
    await portal.shot(page, "typed")


async def test_the_desktop_says_when_its_job_has_ended(portal: Portal) -> None:
    job_id = await portal.running("acme-remote-desktop")
    page = await open_desktop(portal, job_id)
    await portal.stack.core.terminate_as_user("user", job_id)
    await expect(page.locator("body")).to_have_attribute("data-desktop", "lost")
    await page.get_by_role("button", name="Connect again").click()
    await expect(page.locator("#message")).to_have_text(
        "the job has ended; there is nothing left to connect to"
    )
