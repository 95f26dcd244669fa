"""A big download and many WebSockets through the gateway: how fast beside nginx, and at what cost?

The download comes from an nginx in a job. The yardstick is another nginx as a reverse proxy to the same one,
measured in the same run, in turns with the gateway.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.jobs import bulk
from tests.support.stack import Stack, free_port, running_stack
from tests.support.web import (
    WebJob,
    gateway_port,
    listening,
    memory_kib,
    start_web_job,
    web_settings,
    web_socket,
)

SESSIONS = "[sessions]\nconnections_per_session = 1000\n"
NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {listen};
        {location}
    }}
}}
"""
PROXY = """location / {{
            proxy_pass http://{address};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
        }}"""


async def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench gateway", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the download")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--websockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60, help="how long the WebSockets are held")
    options = parser.parse_args()
    _need_nginx()
    folder = Path(os.environ["SLURM_CLUSTER_DIR"]) / f"bench-{os.getpid()}"
    try:
        async with running_stack(folder, web_settings(more=SESSIONS)) as stack:
            await _downloads(stack, options.mib, options.turns)
            await _websockets(stack, options.websockets, options.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _need_nginx() -> None:
    if not shutil.which("nginx"):
        install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"]
        subprocess.run([*install, "nginx-light"], check=True, stdout=subprocess.DEVNULL)


# the download


async def _downloads(stack: Stack, mib: int, turns: int) -> None:
    files = stack.folder / "software"
    digest = await asyncio.to_thread(_make_file, files / "big", mib)
    job = await _static_server(stack, files)
    cookie = await job.cookie()
    await listening(job, cookie)
    port = int((stack.job_folder("alice", job.id) / ".ucloud/rank-0/allocated-port.txt").read_text())
    url = f"http://127.0.0.1:{gateway_port(stack)}/big"
    through_gateway = [url, "-H", f"Host: {job.host()}", "-H", f"Cookie: {cookie}"]
    found = await asyncio.to_thread(_digest, through_gateway)
    assert found == digest, "the download is not the file"
    _say(f"{mib} MiB through the gateway have the sha256 of the file: {digest}")
    address = f"127.0.0.1:{port}"
    with (
        _proxy(stack.folder / "proxy-1", address, "on") as buffering,
        _proxy(stack.folder / "proxy-2", address, "off") as direct,
    ):
        rates: dict[str, list[float]] = {}
        ways = {
            "the gateway": through_gateway,
            "nginx": [f"http://127.0.0.1:{buffering}/big"],
            "nginx, unbuffered": [f"http://127.0.0.1:{direct}/big"],
            "the server itself": [f"http://{address}/big"],
        }
        for _ in range(turns):
            for name, arguments in ways.items():
                rates.setdefault(name, []).append(await asyncio.to_thread(_rate, arguments))
    for name, measured in rates.items():
        text = ", ".join(f"{rate:.0f}" for rate in measured)
        _say(f"{name:18} {statistics.median(measured):6.0f} MB/s (median of {text})")
    yardstick = max(statistics.median(rates[name]) for name in rates if name.startswith("nginx"))
    share = statistics.median(rates["the gateway"]) / yardstick
    _say(f"the gateway has {share:.0%} of the rate of nginx where that is best")
    _say(f"memory: façade {memory_kib(stack.facade.pid) >> 10} MiB")
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


def _make_file(path: Path, mib: int) -> str:
    """Write a file of random bytes; return its sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(mib // 16):
            piece = os.urandom(16 << 20)
            digest.update(piece)
            file.write(piece)
    path.chmod(0o644)
    return digest.hexdigest()


async def _static_server(stack: Stack, files: Path) -> WebJob:
    text = NGINX.format(user="", folder="FOLDER", listen="0.0.0.0:PORT", location=f"root {files};")
    template = stack.folder / "software/nginx.conf"
    template.write_text(text)
    script = f'sed "s|FOLDER|$PWD|; s|FOLDER|$PWD|g; s|PORT|$UCLOUD_PORT|" {template} >nginx.conf'
    return await start_web_job(stack, script=f"{script}; exec /usr/sbin/nginx -p $PWD -c $PWD/nginx.conf")


@contextmanager
def _proxy(folder: Path, address: str, buffering: str) -> Iterator[int]:
    """Run nginx as a reverse proxy as most sites would; give its port."""
    folder.mkdir()
    port = free_port()
    location = PROXY.format(address=address, buffering=buffering)
    text = NGINX.format(
        user="user root;", folder=folder, listen=f"127.0.0.1:{port}", location=location.strip()
    )
    (folder / "nginx.conf").write_text(text)
    with subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf"]) as process:
        try:
            while subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/"]).returncode:
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def _digest(arguments: list[str]) -> str:
    digest = hashlib.sha256()
    with subprocess.Popen(["curl", "-sSf", *arguments], stdout=subprocess.PIPE) as curl:
        assert curl.stdout
        while piece := curl.stdout.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _rate(arguments: list[str]) -> float:
    """Return the rate of a download in megabytes a second."""
    command = ["curl", "-sSf", "-o", "/dev/null", "-w", "%{speed_download}", *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6


# the WebSockets


async def _websockets(stack: Stack, count: int, seconds: float) -> None:
    job = await start_web_job(stack)
    cookie = await job.cookie()
    await listening(job, cookie)
    before = memory_kib(stack.facade.pid)
    begun = time.monotonic()
    delays: list[float] = []
    ends = asyncio.Event()
    opened = asyncio.Barrier(count + 1)
    async with asyncio.TaskGroup() as users:
        for number in range(count):
            users.create_task(_type(job, cookie, number, opened, ends, delays))
        await opened.wait()
        _say(f"{count} WebSockets are open, after {time.monotonic() - begun:.1f} s")
        ticks = _ticks(stack.facade.pid)
        await asyncio.sleep(seconds)
        used = (_ticks(stack.facade.pid) - ticks) / os.sysconf("SC_CLK_TCK") / seconds
        during = memory_kib(stack.facade.pid)
        ends.set()
    delays.sort()
    _say(f"{len(delays)} messages in {seconds:.0f} s, each was echoed; none of the WebSockets was lost")
    _say(f"there and back: median {_at(delays, 0.5)}, 99 % within {_at(delays, 0.99)}, last {_at(delays, 1)}")
    _say(
        f"façade: {used:.0%} of a core, {during >> 10} MiB"
        f" ({(during - before) / count:.0f} KiB more for each WebSocket)"
    )
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


async def _type(
    job: WebJob, cookie: str, number: int, opened: asyncio.Barrier, ends: asyncio.Event, delays: list[float]
) -> None:
    """Say something twice a second until the end, and hear it again."""
    async with web_socket(job, cookie, origin=f"http://{job.host()}") as socket:
        await opened.wait()
        sequence = 0
        while not ends.is_set():
            sequence += 1
            text = f"{number} {sequence} " + "x" * 50
            sent = time.monotonic()
            await socket.send(text)
            assert await socket.recv() == text
            delays.append(time.monotonic() - sent)
            await asyncio.sleep(0.5)


def _at(delays: list[float], share: float) -> str:
    return f"{delays[min(len(delays) - 1, int(len(delays) * share))] * 1000:.1f} ms"


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
