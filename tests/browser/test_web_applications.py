"""The document's example "Using a web Application", in a browser: JupyterLab on its job's own domain."""

from playwright.async_api import Page, expect

from tests.browser.portal import Portal


async def open_web(portal: Portal, job_id: str) -> Page:
    """Open a job's web application by the portal's button."""
    start = await portal.open()
    async with portal.context.expect_page() as opened:
        await start.locator(f"tr[data-job='{job_id}']").get_by_role("button", name="Web").click()
    page = await opened.value
    await page.wait_for_url(f"http://app-{job_id}-0.apps.localhost:*/**")
    return page


async def test_a_notebook_cell_runs_over_the_proxied_websocket(portal: Portal) -> None:
    page = await open_web(portal, await portal.running("jupyterlab"))
    # Until it listens, the gateway's own page says so, and tries again by itself.
    launcher = page.locator(".jp-LauncherCard[title*='Python 3']").first
    await launcher.wait_for(timeout=90_000)
    async with page.expect_websocket(lambda socket: "/channels" in socket.url) as opened:
        await launcher.click()
    await (await opened.value).wait_for_event("framereceived")
    await expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    await page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    await page.keyboard.type("print(6 * 7, 'on rank', open('/etc/ucloud/rank.txt').read().strip())")
    await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text("42 on rank 0\n")
    await portal.shot(page, "notebook")
