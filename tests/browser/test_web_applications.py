"""The document's example "Using a web Application", in a browser, on domains of the jobs' own."""

from playwright.async_api import expect

from tests.browser.portal import Portal
from tests.browser.web_pages import HEADING, late_application, open_web


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


async def test_a_page_waits_for_its_application_and_says_when_the_job_has_ended(portal: Portal) -> None:
    core = portal.stack.core
    await core.add_application(late_application("until [ -e go-on ]; do sleep 0.2; done"))
    job_id = await portal.running("late-application")
    page = await open_web(portal, job_id)
    await expect(page.get_by_role("heading", name="The application is not ready yet")).to_be_visible()
    await portal.shot(page, "not-ready")
    (portal.stack.job_folder("alice", job_id) / "go-on").touch()
    await expect(page.get_by_role("heading", name=HEADING)).to_be_visible()

    await core.terminate_as_user("user", job_id)
    await core.wait_update(job_id, state="SUCCESS", timeout=60)
    await page.reload()
    await expect(page.get_by_role("heading")).to_have_text("The job has ended")
