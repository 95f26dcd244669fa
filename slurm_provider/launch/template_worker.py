"""Renders templates in a process of its own: JSON on stdin and stdout, bounded in time, memory and reach.

Whatever a template does, this process ends soon, can open no file and no connection, and answers briefly.
"""

import dataclasses
import json
import resource
import sys
from contextlib import suppress

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.template import Rendering, Template, render

CPU_SECONDS = 1
MEMORY_BYTES = 256 * 2**20
LONGEST_ANSWER = 8 * 2**20
LONGEST_REASON = 1000
WARM_UP = ("{{ 'a' | wordwrap | urlize | pprint ~ 1.5 }}", "{{ unknown }}", "{% if %}", "{{ ''.__class__ }}")
"""Templates, good and bad, after which Python has imported all that it needs: later it can open no file."""


def confine() -> None:
    """Give up all that rendering does not need."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def main() -> None:
    """Answer one request: `{"rendered": …}`, or `{"refused": "why"}`."""
    request = json.load(sys.stdin)
    for text in WARM_UP:
        with suppress(LaunchError):
            render(Rendering([Template(text)]))
    confine()
    templates = [Template(**template) for template in request.pop("templates")]
    answer: dict[str, object]
    try:
        answer = {"rendered": dataclasses.asdict(render(Rendering(templates, **request)))}
    except LaunchError as error:
        answer = {"refused": str(error)[:LONGEST_REASON]}
    text = json.dumps(answer)
    if len(text) > LONGEST_ANSWER:
        text = json.dumps({"refused": "the application's template asks for too much"})
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
