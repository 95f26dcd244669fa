"""The document's example "Using a remote desktop Application (VNC)", in a browser with noVNC."""

from playwright.async_api import Page, expect

from tests.browser.portal import Portal

_PIXELS = """() => {
  const canvas = document.querySelector("#screen canvas");
  return Array.from(new Uint32Array(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer));
}"""


async def pixels(page: Page) -> list[int]:
    """The desktop's picture, a number each."""
    found: list[int] = await page.evaluate(_PIXELS)
    return found


async def picture_changes(page: Page, before: list[int]) -> list[int]:
    """Wait until the picture is another one; return it."""
    while (now := await pixels(page)) == before:
        await page.wait_for_timeout(50)
    return now


async def test_a_key_press_changes_the_picture_of_the_desktop(portal: Portal) -> None:
    job_id = await portal.running("acme-remote-desktop")
    start = await portal.open()
    async with portal.context.expect_page() as opened:
        await start.locator(f"tr[data-job='{job_id}']").get_by_role("button", name="Desktop").click()
    page = await opened.value
    await expect(page.locator("body")).to_have_attribute("data-desktop", "connected")
