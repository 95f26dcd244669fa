"""OUT_OF_MEMORY, which only a cluster that confines jobs by cgroups can make."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.processes import ROOT
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

TOO_MUCH = "/usr/bin/python3 -c 'bytearray(300 << 20)'"


async def _slurm_cluster(verb: str) -> None:
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts/slurm-cluster", verb, stdout=asyncio.subprocess.DEVNULL
    )
    assert await asyncio.wait_for(process.wait(), 180) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def confining(slurm: Slurm) -> AsyncIterator[Stack]:
    """A provider on a cluster of its own beside the one of the other tests."""
    folder = Path(f"{slurm.folder}-cgroup")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CLUSTER_DIR", str(folder))
        patch.setenv("SLURM_CLUSTER_PORT", str(int(os.environ.get("SLURM_CLUSTER_PORT", "16800")) + 150))
        patch.setenv("SLURM_CLUSTER_CGROUP", "1")
        patch.setenv("SLURM_CONF", str(folder / "etc/slurm.conf"))
        try:
            await _slurm_cluster("up")
            async with running_stack(fresh_folder("memory"), Settings()) as stack:
                yield stack
                await stack.assert_ledger_is_right(Slurm(folder))
                assert await stack.core.violations() == []
        finally:
            await _slurm_cluster("down")


async def test_a_job_that_runs_out_of_memory_is_told_how_much_it_had(confining: Stack) -> None:
    made = job(TOO_MUCH)
    await confining.core.create(bulk(made))
    update = await confining.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    slurm_id = confining.overview(made["id"])["slurm_id"]
    assert update["status"] == (
        "The job was ended because it used more memory than its machine type has, 102 MiB a node"
        f" (Slurm job {slurm_id})"
    )
