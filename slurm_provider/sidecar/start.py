"""How the sidecar's processes come to be: first the spawner with its three capabilities, then the server."""

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from slurm_provider.config import Sidecar
from slurm_provider.sidecar.spawner import CAPABILITIES, NO_CAPABILITIES, Policy


class CannotStart(Exception):
    """Why the sidecar cannot start, in words."""


def start(path: Path, config: Sidecar) -> NoReturn:
    """Start the spawner and become the server.

    As root both become the service user. Under systemd the unit's user and its ambient
    capabilities (CAP_SETUID, CAP_SETGID, CAP_SETPCAP) are there already.
    """
    identity = _identity(config)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    policy = Policy(
        min_uid=config.min_uid,
        deny_users=config.deny_users,
        allow_groups=config.allow_groups,
        path=config.path,
        slurm_conf=config.slurm_conf,
        command_timeout_seconds=config.command_timeout_seconds,
    )
    keeping = [
        f"--inh-caps={CAPABILITIES}",
        f"--ambient-caps={CAPABILITIES}",
        f"--bounding-set={CAPABILITIES}",
    ]
    python = [sys.executable, "-I", "-m"]
    spawner = [*python, "slurm_provider.sidecar.spawner", str(theirs.fileno()), policy.to_json()]
    process = subprocess.Popen(["setpriv", *identity, *keeping, "--", *spawner], pass_fds=[theirs.fileno()])
    theirs.close()
    os.set_inheritable(ours.fileno(), True)
    numbers = [str(ours.fileno()), str(process.pid)]
    server = [*python, "slurm_provider.sidecar.server", str(path.resolve()), *numbers]
    sys.stdout.flush()
    os.execvp("setpriv", ["setpriv", *identity, *NO_CAPABILITIES, "--", *server])


def _identity(config: Sidecar) -> list[str]:
    """Return setpriv's options that make root the service user; none when started as that user."""
    try:
        user = pwd.getpwnam(config.user)
    except KeyError as error:
        raise CannotStart(f"the service user '{config.user}' does not exist") from error
    if os.getuid() == user.pw_uid:
        return []
    if os.getuid() != 0:
        raise CannotStart(f"start the sidecar as root or as the user '{config.user}'")
    return [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
