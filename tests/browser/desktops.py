"""A desktop in a browser, and JavaScript that looks at its picture."""

from playwright.async_api import Page, expect

from tests.browser.portal import Portal

COLOURS = """() => {
  const canvas = document.querySelector("#screen canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return {colours: new Set(pixels).size, white: pixels.filter(pixel => pixel === 0xffffffff).length};
}"""
PICTURE = "document.querySelector('#screen canvas').toDataURL()"


async def open_desktop(portal: Portal, job_id: str) -> Page:
    """Open a job's desktop by the portal's button."""
    start = await portal.open()
    async with portal.context.expect_page() as opened:
        await start.locator(f"tr[data-job='{job_id}']").get_by_role("button", name="Desktop").click()
    page = await opened.value
    await expect(page.locator("body")).to_have_attribute("data-desktop", "connected")
    return page
