"""Terminals in running jobs and in folders, over the WebSocket that UCloud's pages open."""

from tests.support.jobs import bulk, job
from tests.support.shells import session_with, terminal
from tests.support.stack import Stack


async def running(stack: Stack, script: str = "sleep 600", **changes: object) -> dict[str, object]:
    """Start a job and wait until it runs."""
    made = job(script, **changes)
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 200, answer
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    return made


async def test_a_shell_on_rank_1_sees_that_ranks_own_files_and_the_jobs_folder(stack: Stack) -> None:
    made = await running(stack, replicas=2)
    async with terminal(stack, await session_with(stack, made, rank=1)) as shell:
        await shell.run("echo r $(cat /etc/ucloud/rank.txt), $UCLOUD_RANK of $UCLOUD_NODES", "r 1, 1 of 2")
        await shell.run("pwd", "/work")
        await shell.run("ls", "stdout-1.log")
        await shell.run("echo $TERM; stty size", "24 80")
        await shell.run("exit", "ended")
