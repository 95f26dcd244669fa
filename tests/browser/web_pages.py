"""A small web application, and how its user opens it."""

import copy
from typing import Any

from playwright.async_api import Page

from tests.browser.portal import Portal
from tests.support.jobs import application

HEADING = "Acme web application"


def late_application(command: str) -> dict[str, Any]:
    """Return the application `late-application`: the document's, which serves once a command has ended."""
    made = copy.deepcopy(dict(application("acme-web-application")))
    made["metadata"]["name"] = "late-application"
    words = ("bash", "-c", f"{command}; exec acme-web-application")
    made["invocation"]["invocation"] = [{"type": "word", "word": word} for word in words]
    return made


async def open_web(portal: Portal, job_id: str) -> Page:
    """Open a job's web application by the portal's button."""
    start = await portal.open()
    async with portal.context.expect_page() as opened:
        await start.locator(f"tr[data-job='{job_id}']").get_by_role("button", name="Web").click()
    page = await opened.value
    await page.wait_for_url(f"**://app-{job_id}-0.apps.localhost:*/**")
    return page
