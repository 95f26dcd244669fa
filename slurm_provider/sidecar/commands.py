"""The one door through which every Slurm command is run."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from slurm_provider.rpc.v1.agent_pb2 import CommandRun
from slurm_provider.slurm.command import Answer, Outcome, SlurmCommand


@dataclass(frozen=True)
class Runner:
    """Runs commands with one environment and one time-out in seconds."""

    environment: Mapping[str, str]
    timeout_seconds: float

    async def run(self, command: SlurmCommand[Answer], runs: list[CommandRun]) -> Answer:
        """Return what the command said, and add to `runs` how it went.

        Raises what the command's `parse` raises, SlurmUnavailable above all.
        """
        environment = {**self.environment, **command.environment()}
        outcome, run = await self._execute(command.argv(), environment, command.stdin())
        runs.append(run)
        return command.parse(outcome)

    async def _execute(
        self, argv: list[str], environment: dict[str, str], stdin: str
    ) -> tuple[Outcome, CommandRun]:
        started = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            outcome = Outcome(127, "", f"{argv[0]}: {error.strerror}")
        else:
            outcome = await self._wait(process, stdin.encode())
        seconds = time.monotonic() - started
        run = CommandRun(
            argv=argv, returncode=outcome.returncode, seconds=seconds, stderr=outcome.stderr[-2000:]
        )
        return outcome, run

    async def _wait(self, process: asyncio.subprocess.Process, stdin: bytes) -> Outcome:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = await process.communicate()
            return _outcome(None, stdout, stderr)
        return _outcome(process.returncode, stdout, stderr)


def _outcome(returncode: int | None, stdout: bytes, stderr: bytes) -> Outcome:
    return Outcome(returncode, stdout.decode(errors="surrogateescape"), stderr.decode(errors="replace"))
