"""Who listens where on a job's node: read there, by a step of the job that prints it when it is asked."""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from slurm_provider.sidecar.commands import Runner
from slurm_provider.slurm.command import SlurmUnavailable

KEPT_SECONDS = 5.0
"""How old an answer may be."""
FAILURE_KEPT_SECONDS = 2.0
"""So long a node that did not answer is not asked again, by whoever else waits for it."""
IDLE_SECONDS = 120.0
_LIMIT_BYTES = 4 << 20
_LISTEN = "0A"

# Plain shell, for nodes need not have this package. It ends with its input, and so with the agent.
_SCRIPT = """
while read -r question; do
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep ' 0A '
    echo "answered $question"
done
"""


@dataclass(frozen=True)
class Listener:
    """A socket that waits for connections: its port, its owner, and whether only its node sees it."""

    port: int
    uid: int
    is_local: bool


def listeners(table: str) -> list[Listener]:
    """Return the listening sockets of lines of /proc/net/tcp and /proc/net/tcp6 (proc(5))."""
    found = []
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[3] == _LISTEN:
            address, _, port = fields[1].rpartition(":")
            found.append(Listener(int(port, 16), int(fields[7]), _is_local(address)))
    return found


def _is_local(address: str) -> bool:
    """Say whether an address, in the kernel's words of four bytes each, is a loopback one."""
    if len(address) == 8:
        return address.endswith("7F")
    return address == "0" * 24 + "01000000" or (address[16:24] == "FFFF0000" and address.endswith("7F"))


class Probe:
    """The step at one node of one job."""

    def __init__(self, slurm_id: int, node: str, runner: Runner) -> None:
        self._argv = [
            "srun", f"--jobid={slurm_id}", "--overlap", "--quiet", "--nodes=1", "--ntasks=1",
            f"--nodelist={node}", "--gres=none", "--unbuffered", "--job-name=listeners",
            "sh", "-c", _SCRIPT,
        ]  # fmt: skip
        self._runner = runner
        self._process: asyncio.subprocess.Process | None = None
        self._asking = asyncio.Lock()
        self._questions = 0
        self._answered = 0.0
        self._failed = -FAILURE_KEPT_SECONDS
        self._answer: list[Listener] = []
        self.last_used = time.monotonic()

    async def look(self, *, fresh: bool = False) -> list[Listener]:
        """Return who listens there, as it was at most a few seconds ago; raise SlurmUnavailable."""
        self.last_used = time.monotonic()
        async with self._asking:
            if fresh or time.monotonic() > self._answered + KEPT_SECONDS:
                if time.monotonic() < self._failed + FAILURE_KEPT_SECONDS:
                    raise SlurmUnavailable("the job's node does not say who listens there")
                self._answer = await self._ask()
            return self._answer

    async def _ask(self) -> list[Listener]:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self._runner.timeout_seconds):
                table = await self._exchange()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self._failed = time.monotonic()
            await self.end()
            raise SlurmUnavailable("the job's node does not say who listens there") from error
        self._answered = asked
        return listeners(table.decode(errors="replace"))

    async def _exchange(self) -> bytes:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(self._runner.environment),
                start_new_session=True,
                limit=_LIMIT_BYTES,
            )
        reader, writer = self._process.stdout, self._process.stdin
        if reader is None or writer is None:
            raise OSError("a process without pipes")
        self._questions += 1
        writer.write(b"%d\n" % self._questions)
        await writer.drain()
        return await reader.readuntil(b"answered %d\n" % self._questions)

    async def end(self) -> None:
        """End the step."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


class Probes:
    """The steps in use; each is ended when nobody has asked for a while."""

    def __init__(self) -> None:
        self._probes: dict[tuple[int, str], Probe] = {}
        self._ending: asyncio.Task[None] | None = None

    def at(self, slurm_id: int, node: str, runner: Runner) -> Probe:
        """Return the probe at a node of a job."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_idle())
        if (slurm_id, node) not in self._probes:
            self._probes[slurm_id, node] = Probe(slurm_id, node, runner)
        return self._probes[slurm_id, node]

    async def _end_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS / 4)
            limit = time.monotonic() - IDLE_SECONDS
            idle = [key for key, probe in self._probes.items() if probe.last_used < limit]
            await end_all(self._probes.pop(key) for key in idle)


async def end_all(probes: Iterable[Probe]) -> None:
    """End probes, all at a time."""
    await asyncio.gather(*(probe.end() for probe in probes), return_exceptions=True)
