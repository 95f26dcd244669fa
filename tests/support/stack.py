"""A whole provider: Core's stand-in, façade and sidecar, on the cluster of scripts/slurm-cluster."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.processes import COMMAND, ROOT, Program, as_user
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

[facade]
listen = "{listen}"

[jobmap]
path = "{folder}/var/jobs.db"

[tracker]
interval_seconds = {interval_seconds}
accounting_interval_seconds = {accounting_interval_seconds}
absence_grace_seconds = {absence_grace_seconds}

[clusters.hpc]
sidecar = "unix:{folder}/run/sidecar.sock"
job_folder = "{folder}/drives/123/{{user}}/{{job}}"

[sidecar]
listen = "unix:{folder}/run/sidecar.sock"
slurm_conf = "{slurm_conf}"
command_timeout_seconds = 15

[[drives]]
id = "123"
path = "{folder}/drives/123"

[[images]]
name = "acme/batch:1.0.0"
software = "{folder}/software"

[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "main"
cpu = 1
memory_gib = {memory_gib}

[[products]]
category = "example-compute"
id = "example-compute-2"
cluster = "hpc"
partition = "main"
cpu = 1
memory_gib = {memory_gib}

[[products]]
category = "example-compute"
id = "example-compute"
cluster = "hpc"
partition = "main"
cpu = 1
memory_gib = {memory_gib}
"""


@dataclass(frozen=True)
class Settings:
    """What differs from one stack to another. `more` is TOML that is appended to the configuration."""

    era: str = "seeds"
    interval_seconds: float = 1
    accounting_interval_seconds: float = 5
    absence_grace_seconds: float = 5
    memory_gib: float = 0.1
    more: str = ""


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
    """Start Core's stand-in, the sidecar and the façade in `folder`, which the test users can reach.

    The UCloud users `user` and `alice` are the local user alice, `bob` is bob; the project
    `bio-project` is charged to the account bio.
    """
    settings = settings or Settings()
    prepare(folder)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with running_core(folder / "core", provider_url=url, era=settings.era) as core:
        (folder / "config.toml").write_text(
            CONFIG.format(
                folder=folder,
                core_url=core.url,
                listen=f"127.0.0.1:{port}",
                slurm_conf=os.environ["SLURM_CONF"],
                **asdict(settings),
            )
            + settings.more
        )
        sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
        facade_command = as_user(FACADE_USER, COMMAND, "serve", "-c", folder / "config.toml")
        facade = Program(facade_command, folder / "log/facade.log")
        stack = Stack(folder, url, core, facade, sidecar)
        for arguments in (
            ("user", "alice", "--account", "users"),
            ("alice", "alice", "--account", "users"),
            ("bob", "bob", "--account", "users"),
            ("--project", PROJECT, "--account", "bio"),
        ):
            stack.run("users", "map", *arguments).check_returncode()
        try:
            await sidecar.start()
            await facade.start()
            yield stack
        finally:
            await facade.stop()
            await sidecar.stop()


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
    shutil.copy(ROOT / "tests/data/software/acme-batch", folder / "software/acme-batch")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
