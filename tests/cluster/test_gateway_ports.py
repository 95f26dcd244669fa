"""Where jobs and other users would lead the gateway: it reaches the job's own listeners, and nothing else."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk
from tests.support.processes import as_user
from tests.support.slurm import Slurm
from tests.support.stack import Stack, free_port, running_stack
from tests.support.web import (
    WebJob,
    listening,
    start_web_job,
    web_settings,
)

SESSIONS = "[sessions]\nper_user = 10000\n"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(fresh_folder("gateway-ports"), web_settings(more=SESSIONS)) as stack:
        yield stack


# ports and nodes


async def job_with_port_file(stack: Stack, make_file: str) -> tuple[WebJob, str]:
    """Start a job that has written what it likes where its port is looked up."""
    script = f'cd "$UCLOUD_CONTROL/rank-0" && rm allocated-port.txt && {make_file}; touch done; sleep 600'
    job = await start_web_job(stack, script=script)
    done = stack.job_folder("alice", job.id) / ".ucloud/rank-0/done"
    async with asyncio.timeout(20):
        while not done.exists():
            await asyncio.sleep(0.05)
    return job, await job.cookie()


def slurmctld_port(slurm: Slurm) -> str:
    config = slurm.run("scontrol", "show", "config")
    return next(line.split()[-1] for line in config.splitlines() if line.startswith("SlurmctldPort"))


@contextmanager
def listener_of(user: str) -> Iterator[int]:
    """Let another local user serve a secret on a port of the node; give the port."""
    port = free_port()
    code = (
        "import http.server as s, sys\n"
        "class H(s.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'secret of another user')\n"
        "server = s.ThreadingHTTPServer(('0.0.0.0', int(sys.argv[1])), H)\n"
        "print('listening', flush=True)\n"
        "server.serve_forever()\n"
    )
    command = as_user(user, "/usr/bin/python3", "-c", code, str(port))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/") as process:
        assert process.stdout
        assert process.stdout.readline() == b"listening\n"
        try:
            yield port
        finally:
            process.terminate()


async def test_a_port_that_belongs_to_slurm_or_another_user_is_never_reached(
    stack: Stack, slurm: Slurm
) -> None:
    with listener_of("bob") as port:
        for number in (slurmctld_port(slurm), str(port)):
            job, cookie = await job_with_port_file(stack, f"echo {number} >allocated-port.txt")
            async with job.browser(cookie=cookie) as browser:
                answer = await browser.get("/")
            assert answer.status_code == 403
            assert f"ort {number} of the job's node belongs to another user" in answer.json()["why"]
            await stack.core.call("jobs/terminate", bulk(job.job), user="user")
        fixed = await start_web_job(stack, port=port, script="sleep 600")
        async with fixed.browser(cookie=await fixed.cookie()) as browser:
            answer = await browser.get("/")
        assert answer.status_code == 403
        assert "belongs to another user" in answer.json()["why"]
        await stack.core.call("jobs/terminate", bulk(fixed.job), user="user")


@pytest.mark.parametrize(
    ("make_file", "status", "words"),
    [
        ("echo 22 >allocated-port.txt", 503, "othing listens on port 22"),
        ("ln -s /etc/hostname allocated-port.txt", 403, "cannot be read"),
        ("mkfifo allocated-port.txt", 403, "no regular file"),
        ("mkdir allocated-port.txt", 403, "no regular file"),
        ("head -c 100000 /dev/zero >allocated-port.txt", 403, "too long"),
        ("echo 70000 >allocated-port.txt", 403, "70000 is no port"),
        ("echo 0 >allocated-port.txt", 403, "0 is no port"),
        ("echo 10.0.0.1:80 >allocated-port.txt", 403, "holds no port"),
        ("printf '80\\n81\\n' >allocated-port.txt", 403, "holds no port"),
        ("true", 503, "has not chosen its port yet"),
    ],
)
async def test_a_job_cannot_lead_the_gateway_elsewhere_by_its_port_file(
    stack: Stack, make_file: str, status: int, words: str
) -> None:
    job, cookie = await job_with_port_file(stack, make_file)
    async with job.browser(cookie=cookie) as browser:
        answer = await browser.get("/")
    assert (answer.status_code, words in answer.json()["why"]) == (status, True), answer.text
    await stack.core.call("jobs/terminate", bulk(job.job), user="user")


async def test_addresses_that_a_job_writes_for_its_nodes_are_not_believed(stack: Stack) -> None:
    with listener_of("bob"):
        script = (
            "echo 192.0.2.1 >$UCLOUD_CONTROL/rank-0/node-0.txt; echo 192.0.2.1 >$UCLOUD_CONTROL/nodes;"
            f' exec /usr/bin/python3 {stack.folder}/software/web_application.py "$UCLOUD_PORT"'
        )
        job = await start_web_job(stack, script=script)
        cookie = await job.cookie()
        await listening(job, cookie)
        await stack.core.call("jobs/terminate", bulk(job.job), user="user")
