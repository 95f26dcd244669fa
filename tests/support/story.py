"""`python -m tests.support.story [--keep]`: what scripts/demo shows, on the cluster that runs."""

import asyncio
import getpass
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.support.events import Event, amount
from tests.support.processes import ROOT
from tests.support.stack import Stack, running_stack
from tests.support.timeline import Page, StoryFailed, Timeline
from tests.support.visit import directions, start_jobs, to_try, visitable

WIDTH = 100
SEED_JOB = "54112"
CATEGORY = "example-compute"
SCRIPT = """\
cd /etc/ucloud
echo "rank $(cat rank.txt) on $(hostname)"
grep . *.txt
sleep 4"""
THREE_REPLICAS = {
    "application": {"name": "shell-script", "version": "1.0.0"},
    "product": {"id": "example-compute-1", "category": CATEGORY, "provider": "example"},
    "replicas": 3,
    "parameters": {"script": {"type": "text", "value": SCRIPT}},
    "timeAllocation": {"hours": 0, "minutes": 5, "seconds": 0},
}


class Story:
    """Two jobs from Core through the provider to Slurm and back."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self._page = page
        self._stack = stack
        self._core = stack.core
        self._timeline = Timeline(page, stack)

    async def tell(self) -> None:
        """Tell all of it."""
        self._page.title(1, "Who runs here")
        self._who_runs()
        self._page.title(2, "The example of a job in UCloud's documentation, sent byte for byte")
        await self._seed_job()
        self._page.title(3, "A user of the portal asks for three replicas")
        job = await self._three_replicas()
        self._page.title(4, "What it cost")
        await self._cost(job)
        self._page.title(5, "In all")
        await self._sum_up()

    def _who_runs(self) -> None:
        table = Table.grid(padding=(0, 2))
        facade, sidecar = self._stack.facade, self._stack.sidecar
        for row in (
            ("stand-in for Core", getpass.getuser(), self._core.url),
            ("façade", _owner(facade.pid), f"{self._stack.url}, without Slurm"),
            ("sidecar", _owner(sidecar.pid), f"asks {_slurm_version()} as its operator"),
            ("sidecar's agent", "alice", "acts for the UCloud user 'user'; starts when needed"),
        ):
            table.add_row(*(Text(word, style) for word, style in zip(row, ("", "cyan", "dim"), strict=True)))
        self._page.show(table)

    async def _seed_job(self) -> None:
        with self._page.console.status("waiting for the job"):
            answer = await self._core.create((ROOT / "tests/data/seeds/create.request.json").read_bytes())
            await self._timeline.catch_up()
            if answer["status"] != 200:
                raise StoryFailed(f"the provider refused the job: {answer['body'] or answer['error']}")
            await self._timeline.until_success(SEED_JOB)
        folder = self._timeline.folders[SEED_JOB]
        self._page.note("#… is a request's id: the same in HTTP, gRPC, the Slurm command and all logs.")
        self._page.note(f"$ cat {folder.relative_to(self._stack.folder)}/stdout-0.log   # {folder.owner()}'s")
        self._page.show((folder / "stdout-0.log").read_text())
        self._page.note("$ slurm-provider jobs ls")
        self._page.show(self._command("jobs", "ls"))

    async def _three_replicas(self) -> str:
        self._page.event(Event(time.time(), "user → Core", "POST /api/jobs"))
        with self._page.console.status("waiting for the job"):
            [job] = await self._core.create_as_user("user", THREE_REPLICAS)
            await self._timeline.until_success(job)
        table = Table.grid(padding=(0, 6))
        folder = self._timeline.folders[job]
        table.add_row(*(Text((folder / f"stdout-{rank}.log").read_text().rstrip()) for rank in range(3)))
        self._page.note("stdout-0.log, stdout-1.log and stdout-2.log, side by side:")
        self._page.show(table)
        return job

    async def _cost(self, job: str) -> None:
        await self._core.wait("control/chargeCredits", job=job, timeout=10)
        seconds = json.loads(self._command("jobs", "show", job, "--json"))["elapsed_seconds"]
        self._page.show(f"By Slurm's account the job ran for {seconds} s. Each minute begun is owed.")
        self._page.note("Core's ledger:")
        for charge in await self._core.charges():
            units, periods, price = charge["units"], charge["periods"], charge["price"]
            total = f"{amount(units, periods)} × {price:,} credits = {units * periods * price:,}"
            self._page.show(f"{charge['charge_id']}   {total}")
        wallet = await self._core.wallet(CATEGORY, user="user")
        self._page.show(f"taken from the wallet of 'user': {wallet['charged']:,} credits")

    async def _sum_up(self) -> None:
        await self._timeline.catch_up()
        sent, received = len(await self._core.sent()), len(await self._core.received())
        violations = await self._core.violations()
        self._page.show(
            f"{sent} calls from Core, {received} calls to Core, {self._timeline.commands} Slurm commands; "
            f"{len(violations)} breaches of UCloud's protocol; {time.time() - self._page.start:.1f} s"
        )
        if violations:
            raise StoryFailed("\n".join(f"{broken['where']}: {broken['what']}" for broken in violations))

    def _command(self, *arguments: str) -> str:
        done = self._stack.run(*arguments)
        if done.returncode != 0:
            raise StoryFailed(f"slurm-provider {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def _slurm_version() -> str:
    try:
        return _output_of("sinfo", "--version").strip()
    except subprocess.SubprocessError as error:
        raise StoryFailed(f"Slurm's commands fail with SLURM_CONF={os.environ['SLURM_CONF']}") from error


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


def _owner(pid: int) -> str:
    """Return as whom a process runs; the files of one that cannot be traced are root's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    uid = next(line.split()[1] for line in lines if line.startswith("Uid:"))
    return pwd.getpwuid(int(uid)).pw_name


async def perform(page: Page, folder: Path, keep: bool) -> None:
    """Start the provider, tell the story, and with `keep` wait to be interrupted; then stop all."""
    with page.console.status("starting Core's stand-in, sidecar and façade") as status:
        async with running_stack(folder, visitable() if keep else None) as stack:
            status.stop()
            try:
                await Story(page, stack).tell()
                if keep:
                    await _keep_open(page.console, stack)
            finally:
                _cancel_jobs(folder)


async def _keep_open(console: Console, stack: Stack) -> None:
    with console.status("starting jobs to visit"):
        await start_jobs(stack)
    console.print("\n[bold]All goes on running until Ctrl-C.[/bold]")
    console.print(Text(directions(stack)), soft_wrap=True)
    console.print("[bold]To try in another terminal, as root:[/bold]")
    console.print(Text(to_try(stack, THREE_REPLICAS, SEED_JOB)), soft_wrap=True)
    if shutil.which("curl") is None:
        console.print("(there is no curl here: apt-get install curl)")
    await asyncio.Event().wait()


def _cancel_jobs(folder: Path) -> None:
    """End what is left in Slurm of the jobs of this provider, known by their folders."""
    with suppress(subprocess.SubprocessError):
        listed = _output_of("squeue", "--noheader", "--all", "--format=%A %Z").splitlines()
        rows = [line.partition(" ") for line in listed]
        if ours := [slurm_id for slurm_id, _, work in rows if Path(work).is_relative_to(folder)]:
            _output_of("scancel", *ours)


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


def main() -> int:
    """Tell the story; return the exit code."""
    terminal = Console(highlight=False)
    width = min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH
    os.environ["COLUMNS"] = str(width - 2)  # for the commands whose output is shown indented
    page = Page(Console(highlight=False, width=width))
    folder = Path(os.environ["SLURM_CLUSTER_DIR"]) / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    keep = "--keep" in sys.argv[1:]
    try:
        interrupted = asyncio.run(end_on_signal(perform(page, folder, keep)))
    except Exception as error:
        page.failure(error, folder / "log")
        return 1
    return 130 if interrupted and not keep else 0


if __name__ == "__main__":
    sys.exit(main())
