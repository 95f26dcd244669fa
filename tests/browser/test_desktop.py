"""The document's example "Using a remote desktop Application (VNC)", in a browser with noVNC."""

from playwright.async_api import Page, expect

from tests.browser.portal import Portal

_COLOURS = """() => {
  const canvas = document.querySelector("#screen canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return {colours: new Set(pixels).size, white: pixels.filter(pixel => pixel === 0xffffffff).length};
}"""
_PICTURE = "document.querySelector('#screen canvas').toDataURL()"


async def open_desktop(portal: Portal, job_id: str) -> Page:
    """Open a job's desktop by the portal's button."""
    start = await portal.open()
    async with portal.context.expect_page() as opened:
        await start.locator(f"tr[data-job='{job_id}']").get_by_role("button", name="Desktop").click()
    page = await opened.value
    await expect(page.locator("body")).to_have_attribute("data-desktop", "connected")
    return page


async def test_a_key_press_changes_the_picture_of_the_desktop(portal: Portal) -> None:
    page = await open_desktop(portal, await portal.running("acme-remote-desktop"))
    # The terminal on the desktop is white, with a prompt in another colour.
    await page.wait_for_function(f"() => ({_COLOURS})().white > 200000 && ({_COLOURS})().colours > 2")
    before = await page.evaluate(_PICTURE)
    await page.keyboard.press("x")
    await page.wait_for_function(f"before => {_PICTURE} !== before", arg=before)
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
