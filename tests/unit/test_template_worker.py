"""The process that renders templates can reach nothing."""

import json
import subprocess
import sys

TRIES = """
import socket
from slurm_provider.launch import template_worker

template_worker.confine()
for what, attempt in {
    "open a file": lambda: open("/etc/passwd"),
    "connect": lambda: socket.socket(),
    "start a program": lambda: __import__("os").pipe(),
    "take memory": lambda: bytearray(2**29),
}.items():
    try:
        attempt()
    except (OSError, MemoryError):
        continue
    print("can", what)
"""


def test_a_template_that_broke_out_of_its_sandbox_could_still_open_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", TRIES], capture_output=True, text=True, check=True)
    assert run.stdout == ""


def test_it_answers_in_json() -> None:
    request = {"templates": [{"text": "{{ a }}", "quote": True}], "parameters": {"a": "b c"}}
    command = [sys.executable, "-I", "-m", "slurm_provider.launch.template_worker"]
    run = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["rendered"]["texts"] == ["'b c'"]
