"""`python -m tests.support.story [--keep]`: what scripts/demo shows, on the cluster of scripts/slurm-cluster."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tests.support.processes import COMMAND, ROOT
from tests.support.stack import Stack, running_stack
from tests.support.timeline import Timeline, amount

WIDTH = 100
SEED_JOB = "54112"
CATEGORY = "example-compute"
SCRIPT = """\
echo "rank $(cat /etc/ucloud/rank.txt) on $(hostname)"
cd /etc/ucloud && grep . *.txt
sleep 4"""
THREE_REPLICAS = {
    "application": {"name": "shell-script", "version": "1.0.0"},
    "product": {"id": "example-compute-1", "category": CATEGORY, "provider": "example"},
    "replicas": 3,
    "parameters": {"script": {"type": "text", "value": SCRIPT}},
    "timeAllocation": {"hours": 0, "minutes": 5, "seconds": 0},
}


class BrokenRules(Exception):
    """The stand-in for Core has seen breaches of the protocol."""


class Story:
    """Two jobs from Core through the provider to Slurm and back."""

    def __init__(self, console: Console, stack: Stack, start: float) -> None:
        self._console = console
        self._stack = stack
        self._core = stack.core
        self._start = start
        self._timeline = Timeline(console, stack, start)

    async def tell(self) -> None:
        """Tell all of it."""
        self._title(1, "Who runs here")
        self._who_runs()
        self._title(2, "The example of a job in UCloud's documentation, sent byte for byte")
        await self._seed_job()
        self._title(3, "A user of the portal asks for three replicas")
        job = await self._three_replicas()
        self._title(4, "What it cost")
        await self._cost(job)
        self._title(5, "In all")
        await self._sum_up()

    def _title(self, number: int, text: str) -> None:
        self._console.print(f"\n[bold]{number}  {text}[/bold]\n")

    def _who_runs(self) -> None:
        table = Table.grid(padding=(0, 2))
        facade, sidecar = self._stack.facade, self._stack.sidecar
        slurm = subprocess.run(["sinfo", "--version"], capture_output=True, text=True, check=True).stdout
        for row in (
            ("stand-in for Core", "root", self._core.url),
            ("façade", _owner(facade.pid), f"{self._stack.url}, calls Core and the sidecar, has no Slurm"),
            ("sidecar", _owner(sidecar.pid), f"reads {slurm.strip()} as its operator"),
            ("agent of the sidecar", "alice", "acts for UCloud's user 'user', started when first needed"),
        ):
            table.add_row(*(Text(word, style) for word, style in zip(row, ("", "cyan", "dim"), strict=True)))
        self._console.print(Padding(table, (0, 0, 0, 2)))

    async def _seed_job(self) -> None:
        with self._console.status("waiting for the job"):
            answer = await self._core.create((ROOT / "tests/data/seeds/create.request.json").read_bytes())
            if answer["status"] != 200:
                await self._timeline.catch_up()
                raise RuntimeError(f"the provider refused the job: {answer}")
            await self._timeline.until_success(SEED_JOB)
        folder = self._timeline.folders[SEED_JOB]
        self._note(
            "\n(#… is a request's id: the same from HTTP through gRPC to the Slurm command, in all logs.)"
        )
        self._note(
            f"\n$ cat {folder.relative_to(self._stack.folder)}/stdout-0.log   (belongs to {folder.owner()})"
        )
        self._show((folder / "stdout-0.log").read_text())
        self._command("jobs", "ls")

    async def _three_replicas(self) -> str:
        self._timeline.user_calls("POST /api/jobs")
        with self._console.status("waiting for the job"):
            [job] = await self._core.create_as_user("user", THREE_REPLICAS)
            await self._timeline.until_success(job)
        table = Table.grid(padding=(0, 6))
        folder = self._timeline.folders[job]
        table.add_row(*(Text((folder / f"stdout-{rank}.log").read_text().rstrip()) for rank in range(3)))
        self._note("\nstdout-0.log, stdout-1.log and stdout-2.log, side by side:")
        self._console.print(Padding(table, (0, 0, 0, 2)))
        return job

    async def _cost(self, job: str) -> None:
        await self._core.wait("control/chargeCredits", job=job, timeout=10)
        shown = json.loads(self._stack.run("jobs", "show", job, "--json").stdout)
        self._show(
            f"The job ran for {shown['elapsed_seconds']} s by Slurm's account: one started minute is owed."
        )
        self._note("\nCore's ledger:")
        for charge in await self._core.charges():
            units, periods, price = charge["units"], charge["periods"], charge["price"]
            credits_taken = f"{amount(units, periods)} × {price:,} credits = {units * periods * price:,}"
            self._show(f"{charge['charge_id']}   {credits_taken}")
        wallet = await self._core.wallet(CATEGORY, user="user")
        self._show(f"taken from the wallet of 'user': {wallet['charged']:,} credits")

    async def _sum_up(self) -> None:
        await self._timeline.catch_up()
        sent, received = len(await self._core.sent()), len(await self._core.received())
        violations = await self._core.violations()
        self._show(
            f"{sent} calls from Core, {received} calls to Core, {self._timeline.commands} Slurm commands; "
            f"{len(violations)} breaches of UCloud's protocol; {time.time() - self._start:.1f} s"
        )
        if violations:
            raise BrokenRules("\n".join(f"{broken['where']}: {broken['what']}" for broken in violations))

    def _command(self, *arguments: str) -> None:
        done = self._stack.run(*arguments)
        self._note(f"\n$ slurm-provider {' '.join(arguments)}")
        self._show(done.stdout + done.stderr)
        done.check_returncode()

    def _note(self, text: str) -> None:
        self._console.print(Padding(Text(text, "dim"), (0, 0, 0, 2)))

    def _show(self, text: str) -> None:
        self._console.print(Padding(Text(text.rstrip()), (0, 0, 0, 2)))


def _owner(pid: int) -> str:
    return Path(f"/proc/{pid}").owner()


async def perform(console: Console, folder: Path, keep: bool) -> None:
    """Start the provider, tell the story, and with `keep` wait to be interrupted; then stop all."""
    start = time.time()
    with console.status("starting Core's stand-in, sidecar and façade") as status:
        async with running_stack(folder) as stack:
            status.stop()
            try:
                await Story(console, stack, start).tell()
                if keep:
                    _show_what_to_try(console, stack)
                    await asyncio.Event().wait()
            finally:
                _cancel_jobs(folder)


TO_TRY = """
# a user of the portal submits the job of above once more
curl -sS -H "Authorization: Bearer $(curl -sS '{core}/standin/token?user=user')" \\
  -H 'Content-Type: application/json' {core}/api/jobs -d {job}

# Core asks the provider what its machines can do
curl -sS -H "Authorization: Bearer $(curl -sS {core}/standin/token/core)" \\
  {facade}/ucloud/example/jobs/retrieveProducts

# what the job map knows
{command} jobs ls --config {config}
{command} jobs ls --json --config {config}
{command} jobs show {seed_job} --config {config}

# what Slurm knows
export SLURM_CONF={slurm_conf}
squeue
sacct --allusers --allocations
"""


def _show_what_to_try(console: Console, stack: Stack) -> None:
    console.print("\n[bold]All goes on running until Ctrl-C. To try in another terminal, as root:[/bold]")
    lines = TO_TRY.format(
        core=stack.core.url,
        job=shlex.quote(json.dumps({"items": [THREE_REPLICAS]})),
        facade=stack.url,
        command=COMMAND,
        config=stack.config_path,
        seed_job=SEED_JOB,
        slurm_conf=os.environ["SLURM_CONF"],
    )
    console.print(Text(lines), soft_wrap=True)
    if shutil.which("curl") is None:
        console.print("(there is no curl here: apt-get install curl)")


def _cancel_jobs(folder: Path) -> None:
    """End what is left in Slurm of the jobs of this provider, known by their folders."""
    listed = subprocess.run(
        ["squeue", "--noheader", "--all", "--format=%A %Z"], capture_output=True, text=True
    )
    rows = [line.partition(" ") for line in listed.stdout.splitlines()]
    if ours := [slurm_id for slurm_id, _, work in rows if Path(work).is_relative_to(folder)]:
        subprocess.run(["scancel", *ours], check=False)


async def end_on_signal(story: Coroutine[Any, Any, None]) -> bool:
    """Run until the end or the first signal; return whether it was a signal. Later ones are ignored."""
    task = asyncio.ensure_future(story)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        await task
    except (asyncio.CancelledError, Exception):  # a signal can also end what the story waits for
        if not interrupted:
            raise
    return interrupted


def show_failure(console: Console, error: Exception, folder: Path) -> None:
    """Say what went wrong, and show the ends of the programs' logs."""
    console.print(Text(f"\nThe demo failed: {str(error)[:500] or type(error).__name__}", "bold red"))
    for name in ("facade", "sidecar"):
        path = folder / f"log/{name}.log"
        if path.exists():
            console.print(Text(f"\nThe end of {path}:", "bold"))
            for line in path.read_text(errors="replace").splitlines()[-8:]:
                console.print(Text(line[:400], "dim"), soft_wrap=True)


def main() -> int:
    """Tell the story; return the exit code."""
    terminal = Console(highlight=False)
    console = Console(highlight=False, width=min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH)
    os.environ["COLUMNS"] = str(console.width - 2)  # for the commands whose output is shown indented
    folder = Path(os.environ["SLURM_CLUSTER_DIR"]) / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    keep = "--keep" in sys.argv[1:]
    try:
        interrupted = asyncio.run(end_on_signal(perform(console, folder, keep)))
    except Exception as error:
        show_failure(console, error, folder)
        return 1
    return 130 if interrupted and not keep else 0


if __name__ == "__main__":
    sys.exit(main())
