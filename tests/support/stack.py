"""A whole provider: Core's stand-in, façade and sidecar, on the cluster of scripts/slurm-cluster."""

import asyncio
import json
import os
import pwd
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import COMMAND, ROOT, Program, as_user
from tests.support.slurm import Slurm
from tests.support.standin import CoreStandin, running_core

FACADE_USER = "slurm-provider"
SIDECAR_USER = "slurm-provider-sidecar"
DRIVE = "123"
PROJECT = "bio-project"

CONFIG = """\
[provider]
id = "example"

[core]
url = "{core_url}"
public_key_file = "{folder}/core/provider.pub"
refresh_token_file = "{folder}/core/refresh-token"
era = "{era}"
{core}

[facade]
listen = "{listen}"
{facade}

[jobmap]
path = "{folder}/var/jobs.db"

[tracker]
interval_seconds = {interval_seconds}
accounting_interval_seconds = {accounting_interval_seconds}
absence_grace_seconds = {absence_grace_seconds}

[clusters.hpc]
sidecar = "unix:{folder}/run/sidecar.sock"
job_folder = "{folder}/drives/123/{{user}}/{{job}}"
{cluster}

[sidecar]
listen = "unix:{folder}/run/sidecar.sock"
slurm_conf = "{slurm_conf}"
command_timeout_seconds = 15
{sidecar}

[[drives]]
id = "123"
path = "{folder}/drives/123"

[[images]]
name = "acme/batch:1.0.0"
software = "{folder}/software"
"""

PRODUCT = """
[[products]]
category = "example-compute"
id = "{id}"
cluster = "hpc"
partition = "main"
memory_gib = {memory_gib}
"""


@dataclass(frozen=True)
class Settings:
    """What differs from one stack to another.

    `sidecar`, `facade`, `core` and `cluster` are added to these sections, `products` replaces the three
    of the seed documents, `more` is appended to the configuration.
    """

    era: str = "seeds"
    interval_seconds: float = 1
    accounting_interval_seconds: float = 5
    absence_grace_seconds: float = 5
    memory_gib: float = 0.1
    sidecar: str = ""
    facade: str = ""
    core: str = ""
    cluster: str = ""
    products: str | None = None
    more: str = ""

    def toml(self, **values: object) -> str:
        """Return the configuration file."""
        ids = ("example-compute-1", "example-compute-2", "example-compute")
        products = self.products or "".join(PRODUCT.format(id=id_, memory_gib=self.memory_gib) for id_ in ids)
        return CONFIG.format(**values, **asdict(self)) + products + self.more


@dataclass(frozen=True)
class Stack:
    """A running provider."""

    folder: Path
    url: str
    core: CoreStandin
    facade: Program
    sidecar: Program

    @property
    def config_path(self) -> Path:
        """The configuration file of both programs."""
        return self.folder / "config.toml"

    @property
    def jobmap_path(self) -> Path:
        """The job map."""
        return self.folder / "var/jobs.db"

    async def updates(self, job_id: str) -> list[dict[str, Any]]:
        """Return the updates of a job that Core has taken, in order."""
        calls = await self.core.received("control/update")
        items = [item for call in calls if call["status"] == 200 for item in call["body"]["items"]]
        return [item["update"] for item in items if item["id"] == job_id]

    async def wait_for_update(self, job_id: str, **fields: object) -> None:
        """Wait until Core has taken an update of a job with these fields."""
        seq = 0
        while not any(fields.items() <= update.items() for update in await self.updates(job_id)):
            seq = (await self.core.wait("control/update", job=job_id, since=seq))["seq"]

    def overview(self, job_id: str) -> dict[str, Any]:
        """Return `slurm-provider jobs show JOB --json`."""
        return dict(json.loads(self.run("jobs", "show", job_id, "--json").stdout))

    def job_folder(self, local_user: str, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.folder / "drives" / DRIVE / local_user / job_id

    def output(self, local_user: str, job_id: str, rank: int = 0) -> str:
        """Return what a rank has printed."""
        return (self.job_folder(local_user, job_id) / f"stdout-{rank}.log").read_text()

    async def wait_for_log(self, program: str, pattern: str) -> None:
        """Wait until a program (`facade` or `sidecar`) logs something new that matches."""
        path = self.folder / f"log/{program}.log"
        start = path.stat().st_size
        async with asyncio.timeout(60):
            while not re.search(pattern, path.read_text()[start:]):
                await asyncio.sleep(0.05)

    async def assert_ledger_is_right(self, slurm: Slurm) -> None:
        """Assert that each ended job was charged what Slurm says it used, in minutes, for each replica.

        The ledger holds all of it; Core has taken all of it but what an owner could not pay.
        """
        taken: dict[str, int] = {}
        for charge in await self.core.charges():
            taken[charge["job_id"]] = taken.get(charge["job_id"], 0) + charge["units"] * charge["periods"]
        calls = await self.core.received("chargeCredits")
        poor = {job["id"] for call in calls for job in call["reply"].get("insufficientFunds", ())}
        with closing(sqlite3.connect(f"file:{self.jobmap_path}?mode=ro", uri=True)) as jobmap:
            starts = jobmap.execute("SELECT DISTINCT job_id, slurm_id FROM attempts").fetchall()
        for job in json.loads(self.run("jobs", "ls", "--json").stdout):
            if job["ended"] is not None and job["slurm_id"] is not None:
                owed = 0
                for slurm_id in {job["slurm_id"], *(id_ for owner, id_ in starts if owner == job["job_id"])}:
                    records = await slurm.settled(str(slurm_id))
                    used = sum(int(record["ElapsedRaw"]) for record in records)
                    owed += -(-used // 60) * job["replicas"]
                assert job["charged"] == owed, job
                assert job["job_id"] in poor or taken.get(job["job_id"], 0) == owed, job

    def map_people(self) -> None:
        """Map the UCloud users `user` and `alice` to alice, `bob` to bob, the project to the account bio."""
        for arguments in (
            ("user", "alice", "--account", "users"),
            ("alice", "alice", "--account", "users"),
            ("bob", "bob", "--account", "users"),
            ("--project", PROJECT, "--account", "bio"),
        ):
            self.run("users", "map", *arguments).check_returncode()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `slurm-provider …` as an admin would run it for this provider."""
        return as_user(FACADE_USER, COMMAND, *arguments, "--config", self.config_path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `slurm-provider …`."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=30
        )


@asynccontextmanager
async def running_stack(folder: Path, settings: Settings | None = None) -> AsyncIterator[Stack]:
    """Start Core's stand-in, the sidecar and the façade in `folder`, which the test users can reach."""
    settings = settings or Settings()
    prepare(folder)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with running_core(folder / "core", provider_url=url, era=settings.era) as core:
        text = settings.toml(
            folder=folder,
            core_url=core.url,
            listen=f"127.0.0.1:{port}",
            slurm_conf=os.environ["SLURM_CONF"],
        )
        (folder / "config.toml").write_text(text)
        sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
        facade_command = as_user(FACADE_USER, COMMAND, "serve", "-c", folder / "config.toml")
        facade = Program(facade_command, folder / "log/facade.log")
        stack = Stack(folder, url, core, facade, sidecar)
        stack.map_people()
        try:
            await sidecar.start()
            await facade.start()
            yield stack
        finally:
            await facade.stop()
            await sidecar.stop()
            cancel_what_is_left(stack)


def cancel_what_is_left(stack: Stack) -> None:
    """Cancel the jobs of a provider that has ended, so that they don't stand in the way of the next."""
    jobs = json.loads(stack.run("jobs", "ls", "--json").stdout or "[]")
    open_ids = [str(job["slurm_id"]) for job in jobs if job["slurm_id"] and job["ended"] is None]
    if open_ids:
        subprocess.run(["scancel", *open_ids], check=False, timeout=30)


def prepare(folder: Path) -> None:
    """Make the folders that a site's packages would make, with the owners that they would give them."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, owner, mode in (
        ("core", "root", 0o755),
        ("drives", "root", 0o755),
        (f"drives/{DRIVE}", "root", 0o1777),
        ("log", "root", 0o755),
        ("run", SIDECAR_USER, 0o750),
        ("software", "root", 0o755),
        ("var", FACADE_USER, 0o750),
    ):
        path = folder / name
        path.mkdir(exist_ok=True)
        user = pwd.getpwnam(owner)
        os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(mode)
    for program in (ROOT / "tests/data/software").iterdir():
        shutil.copy(program, folder / "software" / program.name)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
