"""Public links and windows of jobs as those see them who visit: through the gateway, on the real cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.cluster.conftest import fresh_folder
from tests.support.applications import job_of, template
from tests.support.jobs import bulk
from tests.support.stack import Stack, free_port, running_stack
from tests.support.web import SUFFIX, WebJob, gateway_port, start_web_job, target_of, web_settings

LINKS = f"""
[[public_links]]
category = "example-ingress"
id = "example-ingress"
prefix = "app-"
suffix = "{SUFFIX}"
"""
NOBODY_HERE = 503


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("visits"), web_settings(more=LINKS)) as stack:
        yield stack


async def new_link(stack: Stack, name: str) -> tuple[str, str]:
    """A link that is ready: its id and its domain."""
    domain = f"app-{name}{SUFFIX}"
    link_id = await stack.core.create_link_as_user("user", domain)
    await stack.core.wait("ingresses/control/update", job=link_id, state="READY")
    return link_id, domain


async def start(stack: Stack, link_id: str, *, ports: int = 1, port: int | None = None) -> WebJob:
    """A job with this link, whose application listens on its own port and perhaps on another one."""
    program = stack.folder / "software/web_application.py"
    second = f'/usr/bin/python3 {program} "{port}" & ' if ports == 2 else ""
    script = f'{second}exec /usr/bin/python3 {program} "$UCLOUD_PORT"'
    resource = {"type": "ingress", "id": link_id} | ({"port": port} if port else {})
    return await start_web_job(stack, script=script, specification={"resources": [resource]})


def visitor(stack: Stack, domain: str) -> httpx.AsyncClient:
    """Somebody without any cookie, for whom the domain leads to the gateway."""
    address = f"http://127.0.0.1:{gateway_port(stack)}"
    headers = {"host": f"{domain}:{gateway_port(stack)}"}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=30, trust_env=False)


async def visit(stack: Stack, domain: str) -> httpx.Response:
    """Load the first page, waiting until the application listens."""
    async with asyncio.timeout(30), visitor(stack, domain) as browser:
        while (answer := await browser.get("/")).status_code == NOBODY_HERE:
            await asyncio.sleep(0.1)
    return answer


def web_socket(stack: Stack, domain: str, origin: str) -> AbstractAsyncContextManager[ClientConnection]:
    """A WebSocket of a page of any origin to a domain."""
    return connect(
        f"ws://{domain}:{gateway_port(stack)}/websocket",
        host="127.0.0.1",
        port=gateway_port(stack),
        origin=Origin(origin),
        compression=None,
        proxy=None,
    )


async def end(stack: Stack, job: WebJob) -> None:
    await stack.core.terminate_as_user("user", job.id)
    await stack.core.wait_update(job.id, state="SUCCESS", timeout=60)


async def test_everybody_sees_the_job_behind_a_public_link_as_long_as_it_runs(stack: Stack) -> None:
    link_id, domain = await new_link(stack, "my-application")
    async with visitor(stack, domain) as browser:
        assert (await browser.get("/")).status_code == NOBODY_HERE
    job = await start(stack, link_id)
    seen = (await visit(stack, domain.upper())).json()
    assert (seen["path"], seen["rank"]) == ("/", "0")
    assert not any(line.lower().startswith("cookie:") for line in seen["headers"])
    await end(stack, job)
    async with visitor(stack, domain) as browser:
        page = await browser.get("/", headers={"accept": "text/html"})
    assert page.status_code == NOBODY_HERE
    assert "No job has this public link at the moment" in page.text


async def test_the_next_job_that_holds_a_link_is_seen_behind_it(stack: Stack) -> None:
    link_id, domain = await new_link(stack, "in-turn")
    first = await start(stack, link_id)
    await visit(stack, domain)
    await end(stack, first)
    second = await start(stack, link_id)
    await visit(stack, domain)
    assert "GET /" in second.printed()
    await end(stack, second)


async def test_a_link_with_a_port_leads_to_that_port(stack: Stack) -> None:
    link_id, domain = await new_link(stack, "with-port")
    port = free_port()
    job = await start(stack, link_id, ports=2, port=port)
    assert (await visit(stack, domain)).json()["port"] == port
    await end(stack, job)


async def test_a_websocket_of_any_page_is_let_through_a_public_link_and_ends_with_the_job(
    stack: Stack,
) -> None:
    link_id, domain = await new_link(stack, "sockets")
    job = await start(stack, link_id)
    await visit(stack, domain)
    async with web_socket(stack, domain, "https://elsewhere.example") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await stack.core.terminate_as_user("user", job.id)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(60):
                await socket.recv()
    await stack.core.wait_update(job.id, state="SUCCESS", timeout=60)


async def test_a_link_is_closed_to_visitors_as_soon_as_its_job_is_to_end(stack: Stack) -> None:
    link_id, domain = await new_link(stack, "closing")
    job = await start(stack, link_id)
    await visit(stack, domain)
    await stack.core.terminate_as_user("user", job.id)
    async with visitor(stack, domain) as browser:
        assert (await browser.get("/")).status_code == NOBODY_HERE
    await stack.core.wait_update(job.id, state="SUCCESS", timeout=60)


async def test_a_jobs_own_domain_still_wants_a_session_when_it_has_a_public_link(stack: Stack) -> None:
    link_id, domain = await new_link(stack, "both")
    job = await start(stack, link_id)
    await visit(stack, domain)
    async with job.browser() as browser:
        assert (await browser.get("/")).status_code == 401
    async with visitor(stack, domain) as browser:
        answer = await browser.get(target_of(await job.link()))
    assert "set-cookie" not in answer.headers
    await end(stack, job)


async def test_a_further_window_of_a_job_is_opened_on_its_own_domain_and_port(stack: Stack) -> None:
    # The first job brings the program along.
    link_id, _ = await new_link(stack, "windows")
    await end(stack, await start(stack, link_id))
    program, port = stack.folder / "software/web_application.py", free_port()
    text = (
        f"{{{{ dynamicInterface(0, 'WEB', 'Board', {port}) }}}}"
        f'/usr/bin/python3 {program} {port} & exec /usr/bin/python3 {program} "$UCLOUD_PORT"'
    )
    made = job_of(template(text), applicationType="WEB", web={"port": 0})
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING")
    board, own = [await window(stack, made, target) for target in ({"target": "Board"}, {})]
    assert board == port != own
    await end(stack, WebJob(stack, made))


async def window(stack: Stack, made: Any, target: dict[str, str]) -> int:
    """Open one of a job's windows as a browser would; gives the port on which the application was asked."""
    item = {"job": made, "rank": 0, "sessionType": "WEB"} | target
    reply = await stack.core.call("jobs/interactiveSession", bulk(item), user="user")
    link = urlsplit(reply["body"]["responses"][0]["redirectClientTo"])
    domain = link.netloc.partition(":")[0]
    assert domain == "-".join(["app", made["id"], "0", *(name.lower() for name in target.values())]) + SUFFIX
    async with visitor(stack, domain) as browser:
        answer = await browser.get(f"{link.path}?{link.query}")
        browser.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        async with asyncio.timeout(30):
            while (answer := await browser.get("/")).status_code == NOBODY_HERE:
                await asyncio.sleep(0.1)
    return int(answer.json()["port"])
