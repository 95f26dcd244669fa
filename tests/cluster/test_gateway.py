"""Web applications of jobs through the gateway, as users see them."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.stack import Stack, running_stack
from tests.support.web import WebJob, listening, start_web_job, target_of, web_settings


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("gateway"), web_settings()) as stack:
        yield stack


@pytest.fixture(scope="module")
async def job(stack: Stack) -> WebJob:
    made = await start_web_job(stack, replicas=2)
    await listening(made, await made.cookie())
    return made


@pytest.fixture
async def cookie(job: WebJob) -> str:
    return await job.cookie()


async def test_a_link_lets_a_browser_in_by_a_cookie_of_its_own(job: WebJob) -> None:
    link = await job.link()
    async with job.browser() as browser:
        answer = await browser.get(target_of(link))
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        cookie = answer.headers["set-cookie"]
        assert link.rpartition("=")[2] not in cookie
        assert {"Path=/", "HttpOnly", "SameSite=Lax"} < set(cookie.split("; "))
        assert "Domain" not in cookie
    async with job.browser(cookie=cookie.partition(";")[0]) as browser:
        seen = (await browser.get("/some/path?a=b")).json()
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/some/path", {"a": "b"})
    assert seen["rank"] == "0"


async def test_the_application_never_sees_our_cookie_and_learns_who_asks(job: WebJob, cookie: str) -> None:
    async with job.browser(cookie=f"theirs=1; {cookie}; more=2") as browser:
        seen = (await browser.get("/", headers={"x-forwarded-for": "1.1.1.1, 192.0.2.7"})).json()
    headers = dict(line.split(": ", 1) for line in seen["headers"])
    assert headers["cookie"] == "theirs=1; more=2"
    assert headers["host"] == headers["x-forwarded-host"] == job.host()
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("192.0.2.7", "http")
    assert json.dumps(seen).count("192.0.2.7") == 1
