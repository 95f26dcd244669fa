"""1,000 followers of 50 jobs: is every byte there, how late is it, and what does it cost?

Needs free places for all jobs: 13 nodes of scripts/slurm-cluster (`scripts/slurm-cluster start n5 … n13`).
"""

import argparse
import asyncio
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from slurm_provider.descriptors import allow_many_descriptors
from tests.support.crowd import STAMP, Crowd, printing_job
from tests.support.jobs import bulk
from tests.support.stack import Settings, Stack, running_stack
from tests.support.usage import usage

WIDE = """
[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "wide"
memory_gib = 0.1
"""
IDLE_SECONDS = 20


async def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench follow", description=__doc__)
    parser.add_argument("--followers", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--pause", type=float, default=1, help="seconds between two lines of a job")
    parser.add_argument("--burst", type=int, default=100_000, help="bytes that each job prints at its end")
    options = parser.parse_args()
    allow_many_descriptors()
    folder = Path(os.environ["SLURM_CLUSTER_DIR"]) / f"bench-{os.getpid()}"
    try:
        async with running_stack(folder, Settings(products=WIDE)) as stack:
            await _measure(stack, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(stack: Stack, options: argparse.Namespace) -> None:
    jobs = [printing_job(options.lines, options.pause, options.burst) for _ in range(options.jobs)]
    reply = await stack.core.create(bulk(*jobs))
    assert reply["status"] == 200, reply
    for made in jobs:
        await stack.core.wait_update(made["id"], state="RUNNING", timeout=120)
    folders = [stack.job_folder("alice", made["id"]) for made in jobs]
    _say(f"{options.jobs} jobs run")
    await _show_idle(stack, "before anybody follows")
    _show_memory(stack, "before anybody follows")
    crowd = Crowd(stack.url, await stack.core.core_token(), jobs, options.followers)
    begun = time.monotonic()
    try:
        await crowd.connect()
        _say(f"{options.followers} followers are connected, after {time.monotonic() - begun:.1f} s")
        await _show_idle(stack, "while nothing is printed")
        _show_memory(stack, "while nothing is printed")
        tail = await Tail.of(folders)
        begun, spent = time.monotonic(), _cpu_seconds(stack)
        for path in folders:  # one after the other: jobs do not print in step
            (path / "go").touch()
            await asyncio.sleep(options.pause / len(folders))
        await crowd.until_end(options.lines * options.pause * 3 + 120)
        _say(f"all follows have ended, after {time.monotonic() - begun:.1f} s")
        for name, seconds in _cpu_seconds(stack).items():
            _say(f"{name} took {seconds - spent[name]:.1f} s of a core for it")
        _show_memory(stack, "at the end")
        await tail.close()
    finally:
        await crowd.close()
    heard_by = [heard for _, heard in crowd.heard]
    _show_delays("from write to frame", [delay for heard in heard_by for delay in heard.delays])
    _show_delays("the same, after a silence", [delay for heard in heard_by for delay in heard.first_delays])
    _show_delays("from write to `tail -F`", tail.delays)
    frames, size = sum(heard.frames for heard in heard_by), sum(heard.bytes for heard in heard_by)
    _say(f"{frames} frames with {size / 1e6:.1f} MB")
    whole = sum(heard.is_all_of(stack.job_folder("alice", job_id)) for job_id, heard in crowd.heard)
    _say(f"{whole} of {options.followers} followers got every byte, in order")


async def _show_idle(stack: Stack, when: str) -> None:
    before = _cpu_seconds(stack)
    await asyncio.sleep(IDLE_SECONDS)
    for name, seconds in _cpu_seconds(stack).items():
        share = 100 * (seconds - before[name]) / IDLE_SECONDS
        _say(f"{name}, {when}: {share:.1f} % of a core")


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    pids = {"façade": stack.facade.pid, "sidecar and agents": stack.sidecar.pid, "followers": os.getpid()}
    seconds = {name: usage(pid).cpu_seconds for name, pid in pids.items()}
    seconds["followers"] -= seconds["façade"] + seconds["sidecar and agents"]  # which it has started
    return seconds


def _show_memory(stack: Stack, when: str) -> None:
    facade, sidecar = (usage(program.pid).memory_bytes >> 20 for program in (stack.facade, stack.sidecar))
    _say(f"memory {when}: façade {facade} MiB, sidecar and agents {sidecar} MiB")


def _show_delays(name: str, delays: Sequence[float]) -> None:
    if len(delays) < 2:
        _say(f"{name}: nothing was measured")
        return
    cuts = statistics.quantiles(delays, n=100)
    median, late, last = (f"{1000 * seconds:.0f} ms" for seconds in (cuts[49], cuts[98], max(delays)))
    _say(f"{name}: p50 {median}, p99 {late}, max {last} ({len(delays)} lines)")


class Tail:
    """The yardstick: `tail -F` of the same files, which waits for the kernel's word of each write."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.delays: list[float] = []
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def of(cls, folders: Sequence[Path]) -> "Tail":
        """Start it on the standard output of jobs."""
        paths = [path / "stdout-0.log" for path in folders]
        process = await asyncio.create_subprocess_exec(
            "tail", "-qF", *paths, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(STAMP.encode()):
                self.delays.append(time.time() - float(line[1:18]))

    async def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()
        await self._reading


def _say(text: Any) -> None:
    print(f"bench follow: {text}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
