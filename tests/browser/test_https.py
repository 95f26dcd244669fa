"""Web applications behind something that ends TLS, as sites have it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.portal import Portal
from tests.browser.web_pages import HEADING, open_web
from tests.cluster.conftest import fresh_folder
from tests.conftest import ARTEFACTS
from tests.support.stack import free_port, running_stack
from tests.support.tls import ending_tls
from tests.support.visit import visitable
from tests.support.web import gateway_port


@pytest.fixture
async def portal(browser: Browser) -> AsyncIterator[Portal]:
    """A portal whose provider has https in front of its gateway, with a certificate of its own making."""
    outside = free_port()
    settings = visitable(scheme="https", outside=outside)
    async with (
        running_stack(fresh_folder("https"), settings) as stack,
        ending_tls(outside, gateway_port(stack), "*.apps.localhost"),
        await browser.new_context(ignore_https_errors=True) as context,
    ):
        yield Portal(context, stack, ARTEFACTS, "https")
        assert await stack.core.violations() == []


async def test_a_cookie_that_lets_in_over_https_is_for_https_and_one_domain_only(portal: Portal) -> None:
    job_id = await portal.running("acme-web-application")
    page = await open_web(portal, job_id)
    await expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
    assert page.url.startswith("https://")
    [cookie] = await portal.context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert cookie["domain"] == f"app-{job_id}-0.apps.localhost"
