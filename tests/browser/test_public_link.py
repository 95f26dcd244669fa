"""The document's example "Starting a Job with a public link (Ingress)", in a browser of somebody else."""

from playwright.async_api import Browser, expect

from tests.browser.portal import Portal
from tests.browser.web_pages import HEADING
from tests.support.web import gateway_port

PRODUCT = {"id": "example-ingress", "category": "example-ingress", "provider": "example"}
DOMAIN = "link-my-application.apps.localhost"


async def test_a_public_link_shows_the_application_to_somebody_who_is_not_signed_in(
    portal: Portal, browser: Browser
) -> None:
    core = portal.stack.core
    body = {"items": [{"domain": DOMAIN, "product": PRODUCT}]}
    [created] = (await core.as_user("user", "POST", "/api/ingresses", body))["responses"]
    resources = [{"type": "ingress", "id": created["id"]}]
    job_id = await portal.running("acme-web-application", resources=resources)

    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://{DOMAIN}:{gateway_port(portal.stack)}/")
    await expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
    assert await context.cookies() == []
    await portal.shot(page, "open")

    await core.terminate_as_user("user", job_id)
    await core.wait_update(job_id, state="SUCCESS", timeout=60)
    await page.reload()
    await expect(page.get_by_role("heading", name=HEADING)).not_to_be_visible()
    await portal.shot(page, "free")
    await context.close()
