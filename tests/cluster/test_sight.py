"""A service user that Slurm no longer shows every job concludes nothing from what it does not see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import SIDECAR_USER, Settings, running_stack


@asynccontextmanager
async def blind(slurm: Slurm) -> AsyncIterator[None]:
    """Slurm shows jobs to their owners and operators only, and the service user is no operator."""
    files = [slurm.folder / "etc" / name for name in ("slurm.conf", "slurmdbd.conf")]
    texts = [path.read_text() for path in files]
    try:
        for path, text in zip(files, texts, strict=True):
            path.write_text(f"{text}\nPrivateData=jobs\n")
        await _reread(slurm)
        _set_level(slurm, "None")
        yield
    finally:
        for path, text in zip(files, texts, strict=True):
            path.write_text(text)
        await _reread(slurm)
        _set_level(slurm, "Operator")


async def _reread(slurm: Slurm) -> None:
    slurm.run("scontrol", "reconfigure")
    await slurm.daemon("stop", "slurmdbd")
    await slurm.daemon("start", "slurmdbd")


def _set_level(slurm: Slurm, level: str) -> None:
    slurm.run("sacctmgr", "--immediate", "modify", "user", SIDECAR_USER, "set", f"AdminLevel={level}")


async def test_jobs_that_slurm_hides_are_not_taken_for_lost(slurm: Slurm) -> None:
    async with running_stack(fresh_folder("blind"), Settings(absence_grace_seconds=0)) as stack:
        made = job("sleep 600")
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="RUNNING")
        async with blind(slurm):
            assert slurm.run("squeue", "--noheader", user=SIDECAR_USER) == ""
            for _ in range(3):
                await stack.wait_for_log("facade", "is no Operator in Slurm.*absence not believed")
        assert stack.overview(made["id"])["state"] == "RUNNING"
        await stack.core.call("jobs/terminate", bulk(made), user="user")
        await stack.core.wait_update(made["id"], state="SUCCESS", timeout=60)
