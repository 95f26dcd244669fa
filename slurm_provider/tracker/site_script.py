"""A program of the site that a template may ask: its answer becomes part of the job's script."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from slurm_provider.launch.errors import LaunchError

PATH = "/usr/local/bin:/usr/bin:/bin"
LONGEST_OUTPUT = 100_000


def run_script(folder: Path, name: str, facts: Mapping[str, object], until: float) -> str:
    """Return the `output` of a program's answer, which is JSON; raise LaunchError when there is none.

    The program gets the path of a file with the facts as JSON. It must lie in the folder, whatever its
    name says, and end before `until` (monotonic clock). It runs as this process's user.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file() or not os.access(path, os.X_OK):
        raise LaunchError(
            f"the application's template runs the script '{name}', which this site does not have"
        )
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(facts, file)
        file.flush()
        try:
            ended = subprocess.run(
                [path, file.name],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": PATH},
                check=False,
                timeout=max(until - time.monotonic(), 0.1),
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise LaunchError(
                f"the site's script '{name}' does not answer: {type(error).__name__}"
            ) from error
    if ended.returncode != 0:
        raise LaunchError(f"the site's script '{name}' failed: {ended.stderr.strip()[-200:]}")
    return _output(name, ended.stdout)


def _output(name: str, answer: str) -> str:
    try:
        output = json.loads(answer)["output"]
    except (ValueError, LookupError, TypeError) as error:
        raise LaunchError(f"the site's script '{name}' does not answer in JSON with an 'output'") from error
    if not isinstance(output, str) or "\0" in output or len(output) > LONGEST_OUTPUT:
        raise LaunchError(f"the output of the site's script '{name}' is no text, or too long")
    return output
