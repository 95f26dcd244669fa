"""Many terminals under input: does every key appear, how late, and what does it cost?

The yardstick is a bare `srun --pty` on the same cluster, in the same run.
"""

import argparse
import asyncio
import os
import shutil
import time
from pathlib import Path

from tests.support.jobs import bulk, job
from tests.support.processes import Program
from tests.support.stack import Settings, Stack, running_stack
from tests.support.typists import BarePty, typists
from tests.support.usage import usage

USERS = ("alice", "bob")


async def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench shells", description=__doc__)
    parser.add_argument("--shells", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1, help="seconds between two keys in a terminal")
    parser.add_argument("--keys", type=int, default=100, help="keys of the quiet measurements")
    options = parser.parse_args()
    folder = Path(os.environ["SLURM_CLUSTER_DIR"]) / f"bench-{os.getpid()}"
    settings = Settings(more=f"[sessions]\nper_user = {options.shells + 1}\n")
    try:
        async with running_stack(folder, settings) as stack:
            await _measure(stack, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(stack: Stack, options: argparse.Namespace) -> None:
    jobs = [job("sleep 3600", user=USERS[index % len(USERS)]) for index in range(options.jobs)]
    reply = await stack.core.create(bulk(*jobs))
    assert reply["status"] == 200, reply
    for made in jobs:
        await stack.core.wait_update(made["id"], state="RUNNING", timeout=120)
    slurm_id = str(stack.overview(jobs[0]["id"])["slurm_id"])
    await _bare(slurm_id, options)
    async with typists(stack, jobs, 1) as (one,):
        for _ in range(options.keys):
            await one.press()
            await asyncio.sleep(0.02)
        _show_delays("one terminal alone", one.delays)
    _show_memory(stack, "without terminals")
    begun = time.monotonic()
    async with typists(stack, jobs, options.shells) as all_of_them:
        _say(f"{options.shells} terminals are open, after {time.monotonic() - begun:.1f} s")
        _show_memory(stack, "with all terminals")
        before = _seconds_of_cpu(stack)
        await asyncio.gather(*(typist.go_on(options.seconds, options.pause) for typist in all_of_them))
        used = {name: after - before[name] for name, after in _seconds_of_cpu(stack).items()}
        shares = (f"{name} {seconds / options.seconds:.0%}" for name, seconds in used.items())
        _say(f"of a core, over {options.seconds:g} s: {', '.join(shares)}")
        _show_memory(stack, "at the end")
        delays = [delay for typist in all_of_them for delay in typist.delays]
        _say(f"{len(delays)} keys, each of which has appeared")
        _show_delays(f"{options.shells} terminals", delays)
        await _bare(slurm_id, options)


async def _bare(slurm_id: str, options: argparse.Namespace) -> None:
    srun = ("srun", f"--jobid={slurm_id}", "--overlap", "--pty", "--mem=0", "bash", "--norc")
    bare = await asyncio.to_thread(BarePty, USERS[0], *srun)
    try:
        bare.type("stty -icanon; echo re''ady; cat >/dev/null\r")
        await asyncio.to_thread(bare.until, "ready")
        _show_delays("bare srun --pty", await asyncio.to_thread(bare.delays, options.keys, 0.02))
    finally:
        bare.close()


def _programs(stack: Stack) -> dict[str, Program]:
    return {"facade": stack.facade, "sidecar with agents": stack.sidecar}


def _seconds_of_cpu(stack: Stack) -> dict[str, float]:
    return {name: usage(program.pid).cpu_seconds for name, program in _programs(stack).items()}


def _show_memory(stack: Stack, when: str) -> None:
    sums = (f"{name} {usage(p.pid).memory_bytes / 2**20:.0f} MiB" for name, p in _programs(stack).items())
    _say(f"memory {when}: {', '.join(sums)}")


def _show_delays(what: str, delays: list[float]) -> None:
    delays = sorted(delays)
    middle, late = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
    most = delays[-1] * 1000
    _say(f"from key to echo, {what}: p50 {middle:.1f} ms, p99 {late:.1f} ms, at most {most:.0f} ms")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
