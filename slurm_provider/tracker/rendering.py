"""Templates of applications are rendered in a process of their own, which is ended when it takes too long."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.template import Interface, Rendered, Rendering, with_outputs
from slurm_provider.tracker.site_script import run_script

COMMAND = (sys.executable, "-I", "-m", "slurm_provider.launch.template_worker")
WITHIN_SECONDS = 4
"""Core waits 5 s for the answer to `create`; the process itself ends after a second or two of work."""


def render_apart(rendering: Rendering, scripts: str | None = None) -> Rendered:
    """Return what the templates become; raise LaunchError for those that fail or do not come to an end.

    `scripts` is the folder of the site's programs that a template may ask. Waits for processes: not to
    be called in the event loop.
    """
    until = time.monotonic() + WITHIN_SECONDS
    rendered = _render(rendering)
    if scripts is None or not rendered.scripts:
        return rendered
    facts = {"parameters": rendering.parameters, "ucloud": rendering.ucloud}
    outputs = [run_script(Path(scripts), name, facts, until) for name in rendered.scripts]
    return with_outputs(rendered, outputs)


def _render(rendering: Rendering) -> Rendered:
    try:
        worker = subprocess.run(
            COMMAND,
            input=json.dumps(dataclasses.asdict(rendering)),
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={},
            check=False,
            timeout=WITHIN_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError("the application's template takes too long") from error
    if worker.returncode != 0:
        raise LaunchError("the application's template takes too long, or too much memory")
    answer = json.loads(worker.stdout)
    if "refused" in answer:
        raise LaunchError(answer["refused"])
    rendered = answer["rendered"]
    return Rendered(
        texts=rendered["texts"],
        directives=[(name, value) for name, value in rendered["directives"]],
        interfaces=[Interface(**interface) for interface in rendered["interfaces"]],
        scripts=rendered["scripts"],
    )
