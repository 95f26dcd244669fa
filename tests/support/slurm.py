"""Slurm as a test looks at it: its own commands, and the daemons of scripts/slurm-cluster."""

import asyncio
import subprocess
from pathlib import Path

from tests.support.processes import ROOT, as_user, command_lines


class Slurm:
    """The cluster in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, user: str | None = None) -> str:
        """Return what a command prints; raise CalledProcessError when it fails."""
        line = as_user(user, *command) if user else list(command)
        return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60, cwd="/").stdout

    def jobs_named(self, pattern: str) -> list[str]:
        """Return the ids of all jobs in the queue, ended ones included, whose name holds `pattern`."""
        rows = self.run("squeue", "--noheader", "--states=all", "--format=%A %j").splitlines()
        return [row.split()[0] for row in rows if pattern in row]

    async def recorded(self, pattern: str) -> dict[str, str]:
        """Return the last accounting record of a job, once there is one: slurmdbd hears of things late."""
        async with asyncio.timeout(30):
            while not (records := self.accounting(pattern)):
                await asyncio.sleep(0.2)
        return records[-1]

    async def settled(self, slurm_id: str) -> list[dict[str, str]]:
        """Return the accounting records of an ended job, once slurmdbd has heard all of it."""
        async with asyncio.timeout(60):
            while True:
                records = self._accounting_of(slurm_id)
                if records and all(r["End"] != "Unknown" and r["QOS"] != "Unknown" for r in records):
                    return records
                await asyncio.sleep(0.5)

    def _accounting_of(self, slurm_id: str) -> list[dict[str, str]]:
        columns = ("State", "QOS", "End", "ElapsedRaw")
        sacct = ("sacct", "-a", "-X", "-D", "-n", "-P", "-S", "now-2hours", "-j", slurm_id)
        rows = self.run(*sacct, "-o", ",".join(columns)).splitlines()
        return [dict(zip(columns, row.split("|"), strict=True)) for row in rows]

    async def running_in_accounting(self, pattern: str, slurm_id: str | None = None) -> None:
        """Wait until slurmdbd knows that a job has started."""

        def runs() -> bool:
            records = [r for r in self.accounting(pattern) if slurm_id in (None, r["JobIDRaw"])]
            return bool(records) and records[-1]["State"] == "RUNNING"

        async with asyncio.timeout(30):
            while not runs():
                await asyncio.sleep(0.2)

    def accounting(self, pattern: str) -> list[dict[str, str]]:
        """Return the accounting records, one an attempt, of the jobs whose name holds `pattern`."""
        columns = ("JobIDRaw", "User", "Account", "QOS", "State", "End", "ElapsedRaw", "NodeList", "JobName")
        sacct = ("sacct", "-a", "-X", "-D", "-n", "-P", "-S", "now-2hours", "-o", ",".join(columns))
        # Names may hold anything, also separators and line ends: only ours matter, and they do not.
        rows = [row.split("|") for row in self.run(*sacct).splitlines() if pattern in row]
        return [dict(zip(columns, row, strict=True)) for row in rows if pattern in row[-1]]

    async def start_now(self, slurm_id: str) -> None:
        """Let a job start at once that Slurm has put back into the queue: it would wait for two minutes.

        What its last attempt has left is waited for, and the next one runs on other nodes: Slurm's late
        signals would meet it, and a late word of the old batch script's end would be taken for its own.
        """
        async with asyncio.timeout(30):
            while any(f"slurmstepd: [{slurm_id}.".encode() in line for line in command_lines()):
                await asyncio.sleep(0.05)
            while not (nodes := self._nodes_of_last_attempt(slurm_id)):
                await asyncio.sleep(0.2)
        self.run("scontrol", "update", f"JobId={slurm_id}", f"ExcNodeList={nodes}", "StartTime=now")

    def _nodes_of_last_attempt(self, slurm_id: str) -> str:
        sacct = ("sacct", "-a", "-X", "-D", "-n", "-P", "-S", "now-2hours", "-j", slurm_id, "-o", "NodeList")
        return next((row for row in reversed(self.run(*sacct).split("\n")) if row.startswith("n")), "")

    async def daemon(self, verb: str, *names: str) -> None:
        """Run `scripts/slurm-cluster VERB NAME …`."""
        process = await asyncio.create_subprocess_exec(
            ROOT / "scripts/slurm-cluster",
            verb,
            *names,
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await asyncio.wait_for(process.wait(), 60) != 0:
            raise RuntimeError(f"slurm-cluster {verb} {' '.join(names)} failed")

    def backdate(self, slurm_id: str, seconds: int) -> None:
        """Make a running job's use `seconds` longer, in Slurm's own accounting database.

        So a test need not run for a quarter of an hour to owe a quarter of an hour.
        """
        statement = f"UPDATE hpc_job_table SET time_start = time_start - {seconds} WHERE id_job = {slurm_id}"
        socket = self.folder / "mysql/socket"
        self.run("mariadb", "--no-defaults", f"--socket={socket}", "slurm_acct", "-e", statement)
