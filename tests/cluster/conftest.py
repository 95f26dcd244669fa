"""A provider on the real cluster, shared by the tests that do not break it."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.jobs import DATA
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack
from tests.support.worker_cluster import cluster_of_worker

MORE_PRODUCTS = """
[[products]]
category = "example-compute"
id = "wide"
cluster = "hpc"
partition = "wide"
cpu = 1
memory_gib = 0.1

[[products]]
category = "example-compute"
id = "short"
cluster = "hpc"
partition = "short"
memory_gib = 0.1

[[products]]
category = "example-compute"
id = "brief"
cluster = "hpc"
partition = "main"
qos = "brief"
memory_gib = 0.1

[[products]]
category = "example-compute"
id = "requeued"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
suspend = "requeue-hold"

[[products]]
category = "example-compute"
id = "huge"
cluster = "hpc"
partition = "main"
cpu = 1000
memory_gib = 0.1
"""


def cluster_folder() -> Path:
    """Return the folder of the running cluster."""
    if "SLURM_CLUSTER_DIR" not in os.environ:
        pytest.exit("these tests need the cluster: run scripts/test, or eval $(scripts/slurm-cluster env)", 2)
    return Path(os.environ["SLURM_CLUSTER_DIR"])


def fresh_folder(name: str) -> Path:
    """Return a new folder of this run that the test users can reach."""
    folder = cluster_folder() / f"tests-{os.getpid()}" / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cluster() -> Iterator[None]:
    """A cluster that no other process of this run uses."""
    with cluster_of_worker():
        yield


@pytest.fixture(scope="session")
def slurm(own_cluster: None) -> Slurm:
    """Slurm itself, to ask it what really happened."""
    return Slurm(cluster_folder())


@pytest.fixture(scope="session")
async def stack(slurm: Slurm) -> AsyncIterator[Stack]:
    """A running provider with the default products and a few odd ones.

    At the end of the run every job in its ledger must have been charged what Slurm says it used,
    and the strict stand-in must have seen no breach of the protocol.
    """
    async with running_stack(fresh_folder("shared"), Settings(more=MORE_PRODUCTS)) as stack:
        for name in re.findall(r'^id = "(\w+)"', MORE_PRODUCTS, re.MULTILINE):
            await stack.core.add_product(json.loads((DATA / "products.json").read_text())[0] | {"name": name})
        yield stack
        await stack.assert_ledger_is_right(slurm)
        played = "no answer within 5 s"  # by a façade that a test has stopped or killed
        assert [v for v in await stack.core.violations() if v["what"] != played] == []
