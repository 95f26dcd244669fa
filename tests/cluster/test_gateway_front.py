"""The gateway behind nginx, as docs/web.md sets it up: https, and the names that browsers see."""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.cluster.conftest import fresh_folder
from tests.support.keys import key_pair
from tests.support.processes import ROOT
from tests.support.stack import Settings, Stack, free_port, running_stack
from tests.support.web import SUFFIX, listening_at, start_web_job, target_of


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[tuple[Stack, int]]:
    """A provider, and the port of nginx in front of its gateway."""
    folder, inner, outer = fresh_folder("gateway-front"), free_port(), free_port()
    web = f"""
[web]
listen = "127.0.0.1:{inner}"
scheme = "https"
port = {outer}
suffix = "{SUFFIX}"
"""
    async with running_stack(folder, Settings(more=web)) as stack:
        path = configuration(folder, inner, outer)
        with subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", path]) as nginx:
            try:
                yield stack, outer
            finally:
                nginx.terminate()


def configuration(folder: Path, inner: int, outer: int) -> Path:
    """Write nginx's configuration, whose part for the gateway is that of the documentation."""
    authority = key_pair(folder, "ca", None)
    key_pair(folder, "front", authority, f"*{SUFFIX}")
    (part,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/web.md").read_text(), re.DOTALL)
    for documented, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{outer} ssl"),
        ("127.0.0.1:8890", f"127.0.0.1:{inner}"),
        ("/etc/ssl/apps.example.org.pem", f"{folder}/front.crt"),
        ("/etc/ssl/apps.example.org.key", f"{folder}/front.key"),
    ):
        assert documented in part
        part = part.replace(documented, here)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; user root; pid {folder}/nginx.pid; error_log {folder}/log/nginx.log;"
        f" events {{}} http {{ access_log off; {paths} {part} }}"
    )
    return path


async def test_a_browser_sees_the_application_over_https(stack: tuple[Stack, int]) -> None:
    provider, port = stack
    job = await start_web_job(provider)
    link = await job.link()
    host = f"app-{job.id}-0{SUFFIX}:{port}"
    assert link.startswith(f"https://{host}/ucloud/example/authorize-app?token=")
    trusted = ssl.create_default_context(cafile=str(provider.folder / "ca.crt"))
    async with httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{port}",
        headers={"host": host},
        verify=False,  # the certificate is for the domain, not for the address
        trust_env=False,
    ) as browser:
        answer = await browser.get(target_of(link))
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Host-ucloud-session=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} < set(attributes)
        browser.headers["cookie"] = cookie
        await listening_at(browser)
        seen = (await browser.get("/", headers={"x-forwarded-for": "192.0.2.66"})).json()
        headers = dict(line.lower().split(": ", 1) for line in seen["headers"])
        assert (headers["host"], headers["x-forwarded-proto"]) == (host, "https")
        assert headers["x-forwarded-for"] == "127.0.0.1"  # what the client said of itself is dropped
        assert "cookie" not in headers
    async with connect(
        f"wss://{host}/websocket",
        host="127.0.0.1",
        port=port,
        ssl=trusted,
        additional_headers={"Cookie": cookie},
        origin=Origin(f"https://{host}"),
        proxy=None,
    ) as socket:
        await socket.send("through both")
        async with asyncio.timeout(20):
            assert await socket.recv() == "through both"
