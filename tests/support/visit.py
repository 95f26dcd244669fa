"""A provider whose jobs a browser can visit: the site's part of it, and jobs worth a visit."""

import json
import os
import shlex
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.support.processes import COMMAND
from tests.support.stack import Settings, Stack, free_port
from tests.support.web import gateway_port

# Browsers take all names below .localhost for their own machine, and trust them as they do https.
SITE = """
[web]
listen = "127.0.0.1:{inside}"
scheme = "{scheme}"
port = {outside}
suffix = ".apps.localhost"

[[public_links]]
category = "example-ingress"
id = "example-ingress"
prefix = "link-"
suffix = ".apps.localhost"
"""

_TALK = """\
cd /etc/ucloud
while true; do
    echo "rank $(cat rank.txt) on $(hostname): it is $(date +%T)"
    [ $((RANDOM % 5)) != 0 ] || echo "rank $(cat rank.txt) warns of nothing in particular" >&2
    sleep 2
done"""

_WHERE = """\
Open {core}/ in a browser on this machine. From another one, reach it by

  ssh {ports} {host}

and open the same address there. It lists the running jobs of 'user':

  Shell script          three ranks that talk; Follow shows them, Terminal opens a shell in one of them
  JupyterLab            Web opens it on its own domain, through the gateway
  Acme remote desktop   Desktop opens it in noVNC
"""


_TO_TRY = """
# a user of the portal submits the job of above once more
curl -sS -H "Authorization: Bearer $(curl -sS '{core}/standin/token?user=user')" \\
  -H 'Content-Type: application/json' {core}/api/jobs -d {job}; echo

# Core asks the provider what its machines can do
curl -sS -H "Authorization: Bearer $(curl -sS {core}/standin/token/core)" \\
  {facade}/ucloud/example/jobs/retrieveProducts; echo

# what the job map knows
{command} jobs ls --config {config}
{command} jobs ls --json --config {config}
{command} jobs show {seed_job} --config {config}
{command} sessions ls --config {config}

# what Slurm knows
export SLURM_CONF={slurm_conf}
squeue
sacct --allusers --allocations
"""


def visitable(
    *, scheme: str = "http", outside: int | None = None, more: str = "", **settings: Any
) -> Settings:
    """Return the settings of a provider whose web applications a browser on this machine can reach.

    `outside` is the port that browsers see, where it is not the gateway's own.
    """
    inside = free_port()
    site = SITE.format(scheme=scheme, inside=inside, outside=outside or inside)
    return Settings(more=site + more, **settings)


async def start_jobs(stack: Stack) -> None:
    """Start the jobs that visitors are told of, and wait until they run."""
    talk = {"script": {"type": "text", "value": _TALK}}
    job_ids = await stack.core.create_as_user(
        "user",
        _specification("acme-remote-desktop"),
        _specification("jupyterlab"),
        _specification("shell-script", replicas=3, parameters=talk),
    )
    for job_id in job_ids:
        await stack.core.wait_update(job_id, state="RUNNING", timeout=60)


def directions(stack: Stack) -> str:
    """Return what to open, and how from another machine."""
    ports = [urlsplit(stack.core.url).port, urlsplit(stack.url).port, gateway_port(stack)]
    forwarded = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports)
    return _WHERE.format(core=stack.core.url, ports=forwarded, host=socket.gethostname())


def to_try(stack: Stack, specification: dict[str, Any], job_id: str) -> str:
    """Return commands about the provider: one submits a job of a specification, one asks for a job."""
    return _TO_TRY.format(
        core=stack.core.url,
        job=shlex.quote(json.dumps({"items": [specification]})),
        facade=stack.url,
        command=COMMAND,
        config=stack.config_path,
        seed_job=job_id,
        slurm_conf=os.environ["SLURM_CONF"],
    )


def _specification(application: str, **more: Any) -> dict[str, Any]:
    return {
        "application": {"name": application, "version": "1.0.0"},
        "product": {"id": "example-compute-1", "category": "example-compute", "provider": "example"},
        "replicas": 1,
        "parameters": {},
        "timeAllocation": {"hours": 4, "minutes": 0, "seconds": 0},
    } | more
