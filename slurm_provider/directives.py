"""Which options of sbatch an application may set, and which nobody may."""

import re

_WHO_IT_IS_AND_WHO_PAYS = (
    *("account", "uid", "gid", "get-user-env", "qos", "partition", "cluster", "clusters", "reservation"),
    *("wckey", "priority"),
)
# A product says that.
_HOW_MUCH_IT_GETS = (
    *("nodes", "ntasks", "time", "time-min", "mem", "mem-per-cpu", "mem-per-gpu", "mincpus"),
    *("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket", "core-spec", "thread-spec"),
)
_HOW_IT_IS_FOUND_AND_ENDED = (
    *("job-name", "comment", "admin-comment", "array", "dependency", "hold", "begin", "deadline"),
    *("requeue", "no-requeue", "kill-on-invalid-dep", "no-kill", "wait", "wrap", "test-only"),
    *("parsable", "quiet", "verbose", "version", "help", "usage", "ignore-pbs", "bb", "bbf"),
)
_WHERE_IT_RUNS = (
    *("chdir", "output", "error", "input", "open-mode", "export", "export-file", "propagate"),
    *("container", "container-id", "mail-user", "mail-type"),
)
FORBIDDEN = frozenset(
    _WHO_IT_IS_AND_WHO_PAYS + _HOW_MUCH_IT_GETS + _HOW_IT_IS_FOUND_AND_ENDED + _WHERE_IT_RUNS
)
"""Never taken from an application, whatever the site allows."""

DEFAULT_ALLOWED: tuple[str, ...] = (
    "constraint",
    "contiguous",
    "cpus-per-task",
    "distribution",
    "licenses",
    "ntasks-per-node",
    "signal",
    "switches",
    "tmp",
)
"""What applications may set where the site says nothing else."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# What keeps its value one value in an #SBATCH line: Slurm's parser knows quotes, backslashes and comments.
_VALUE = re.compile(r"[A-Za-z0-9_.:,+@/=&|()*\[\]-]*")


def refusal(name: str) -> str | None:
    """Return why no application may set an option of sbatch; None where a site may allow it.

    sbatch takes the beginning of an option's name for the whole, so those are forbidden as well.
    """
    if not _NAME.fullmatch(name):
        return f"'{name}' is not the long name of an option of sbatch"
    if any(forbidden.startswith(name) for forbidden in FORBIDDEN):
        return f"the option '{name}' of sbatch is the provider's own"
    return None


def is_safe_value(value: str) -> bool:
    """Say whether a value stays one value in an #SBATCH line."""
    return _VALUE.fullmatch(value) is not None
