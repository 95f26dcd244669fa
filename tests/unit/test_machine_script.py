"""The batch script of a virtual machine, run by bash with a QEMU that only answers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slurm_provider.config import load_facade
from slurm_provider.launch.plan import plan
from tests.unit.builders import CONFIG, config_file
from tests.unit.test_machine import MACHINES, machine

# It answers as QEMU 7.2 does. FOLDER/late holds it up, FOLDER/blocked makes it refuse to migrate.
QEMU = """\
#!{python}
import json, pathlib, re, subprocess, sys, time
folder = pathlib.Path("{folder}")
monitor = re.search("path=([^, ]*)", " ".join(sys.argv))[1]
with open(monitor + ".in") as asked, open(monitor + ".out", "w", buffering=1) as answers:
    while (folder / "late").exists():
        time.sleep(0.05)
    migration = {{}}
    for line in asked:
        call = json.loads(line)
        print(call["execute"], file=open(folder / "calls", "a"))
        answer = {{"return": {{"status": "paused"}}}}
        if call["execute"] == "quit":
            break
        if call["execute"] == "query-migrate":
            answer = {{"return": migration}}
        if call["execute"] == "migrate" and (folder / "blocked").exists():
            answer = {{"error": {{"class": "GenericError", "desc": "State blocked by a device"}}}}
        elif call["execute"] == "migrate":
            subprocess.run(["sh", "-c", call["arguments"]["uri"].removeprefix("exec:")], input=b"memory")
            migration = {{"status": "completed"}}
        print(json.dumps(answer | ({{"id": call["id"]}} if "id" in call else {{}})), file=answers)
"""
SCONTROL = '#!/bin/sh\necho "$@" >"{folder}/held"\n'


class Running:
    """A machine's batch script, which is run in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("qemu", QEMU), ("scontrol", SCONTROL)):
            (folder / name).write_text(text.format(python=sys.executable, folder=folder))
            (folder / name).chmod(0o755)
        (folder / "disk.qcow2").touch()
        (folder / ".ucloud").mkdir()

    def start(self) -> None:
        """Start the batch script."""
        config = CONFIG + MACHINES.replace("overhead_mib", 'qemu = "qemu"\noverhead_mib')
        script = plan(machine(), load_facade(config_file(self.folder, config))).body.script
        self.process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"},
            start_new_session=True,
        )

    def called(self, *calls: str) -> Callable[[], bool]:
        """Return a condition: the last calls of the monitor are these."""
        file = self.folder / "calls"
        return lambda: file.exists() and tuple(file.read_text().split()[-len(calls) :]) == calls

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, while the batch script runs."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            assert self.process.poll() is None, "the batch script has ended"
            time.sleep(0.02)

    def pause(self) -> None:
        """Do what the provider does."""
        self.process.send_signal(signal.SIGUSR1)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()


def test_a_saved_machine_leaves_its_whole_memory_and_a_held_job(running: Running) -> None:
    running.start()
    running.until(running.called("cont"))
    running.pause()
    running.until((running.folder / "held").exists)
    assert (running.folder / "held").read_text() == "requeuehold 7\n"
    assert (running.folder / ".ucloud/machine.saved").read_text() == "memory"


def test_a_pause_before_the_machine_is_there_waits_for_it(running: Running) -> None:
    (running.folder / "late").touch()
    running.start()
    running.until((running.folder / ".ucloud/machine.log").exists)
    running.pause()
    (running.folder / "late").unlink()
    running.until((running.folder / "held").exists)
    assert (running.folder / ".ucloud/machine.saved").exists()


def test_a_machine_that_cannot_be_saved_goes_on(running: Running) -> None:
    (running.folder / "blocked").touch()
    running.start()
    running.until(running.called("cont"))
    running.pause()
    running.until(running.called("stop", "migrate", "cont"))
    words = "The machine could not be saved; it goes on.\n"
    running.until(lambda: (running.folder / "stderr-0.log").read_text() == words)
    (running.folder / "blocked").unlink()
    running.pause()
    running.until((running.folder / "held").exists)


def test_a_memory_that_is_not_written_whole_is_no_saved_machine(running: Running) -> None:
    saving = running.folder / ".ucloud/machine.saving"
    saving.symlink_to("/dev/full")
    running.start()
    running.until(running.called("cont"))
    running.pause()
    running.until(running.called("query-migrate", "cont"))
    running.until(lambda: not saving.is_symlink())
    assert not (running.folder / "held").exists()
    assert not (running.folder / ".ucloud/machine.saved").exists()


def test_a_memory_that_is_loaded_takes_no_room_any_more(running: Running) -> None:
    (running.folder / ".ucloud/machine.saved").write_text("memory")
    running.start()
    running.until(running.called("cont"))
    left = {path.name for path in (running.folder / ".ucloud").iterdir()}
    assert left == {"enter", "rank-0", "machine.log"}
