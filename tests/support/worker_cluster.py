"""A cluster of its own for each further process that runs tests, beside the one of scripts/test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT

FIRST_WORKER = "gw0"
PORTS = 300
"""A cluster's own 150 ports, and as many for one that a test starts beside it."""


@contextmanager
def cluster_of_worker() -> Iterator[None]:
    """Start a cluster for this process and lead all commands to it; the first process uses the one there is.

    Tests stop Slurm's daemons and change accounting, so no two processes can share one.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", FIRST_WORKER)
    if worker == FIRST_WORKER or "SLURM_CLUSTER_DIR" not in os.environ:
        yield
        return
    number = int(worker.removeprefix("gw"))
    folder = Path(f"{os.environ['SLURM_CLUSTER_DIR']}-{worker}")
    os.environ["SLURM_CLUSTER_DIR"] = str(folder)
    first_port = int(os.environ.get("SLURM_CLUSTER_PORT", "16800"))
    os.environ["SLURM_CLUSTER_PORT"] = str(first_port + number * PORTS)
    os.environ["SLURM_CONF"] = str(folder / "etc/slurm.conf")
    _slurm_cluster("up")
    try:
        yield
    finally:
        _slurm_cluster("down")


def _slurm_cluster(verb: str) -> None:
    command = str(ROOT / "scripts/slurm-cluster")
    subprocess.run([command, verb], check=True, stdout=subprocess.DEVNULL, timeout=180)
