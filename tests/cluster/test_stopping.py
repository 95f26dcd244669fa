"""Both programs stop at once, whatever is being looked at, and go on where they were."""

import asyncio

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.follow import seeds_core
from tests.support.jobs import bulk, job
from tests.support.shells import running, session_with, terminal
from tests.support.stack import running_stack

AT_ONCE_SECONDS = 10
"""Below the 15 s that calls in flight may take (`command_timeout_seconds`)."""


@pytest.mark.parametrize("program", ["sidecar", "facade"])
async def test_a_program_stops_although_a_job_is_followed_and_a_terminal_open(program: str) -> None:
    async with running_stack(fresh_folder(f"stopping-{program}")) as stack:
        made = await running(stack, job("echo begun; sleep 600"))
        token = await stack.core.core_token()
        async with (
            seeds_core(stack.url, token) as core,
            terminal(stack, await session_with(stack, made)) as shell,
        ):
            followed = await core.follow(made)
            await core.until_printed(followed, "begun")
            await shell.run("echo th''ere", "there")
            daemon = stack.sidecar if program == "sidecar" else stack.facade
            async with asyncio.timeout(AT_ONCE_SECONDS):
                await daemon.stop()
        await daemon.start()
        await stack.core.call("jobs/terminate", bulk(made), user="user")
        await stack.core.wait_update(made["id"], state="SUCCESS")
