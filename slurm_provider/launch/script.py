"""The text of a job: one batch script that holds all it runs.

In the job's folder (`/work` to the application) a control folder holds a copy of the batch script
(`job.sh`), its own output (`batch.log`), the addresses of the nodes (`nodes`), those of connected jobs
(`peers`) and, for each replica, `rank-N/`, which the replica sees as /etc/ucloud.
"""

import hashlib
from collections.abc import Sequence
from importlib import resources

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.invocation import Literal

# srun writes one stdout and one stderr file a replica; %t is its rank.
_BATCH_SCRIPT = """\
# UCloud job {job_id}: one launcher a replica, started by srun, runs the command.
export UCLOUD_JOB_ID={quoted_job_id}
export UCLOUD_CONTROL="$PWD/{control_folder}"
UCLOUD_COMMAND={command}
export UCLOUD_COMMAND
launcher={launcher}

# Addresses that work from the other nodes: the name where it resolves, else what Slurm itself uses.
addresses() {{
    scontrol show hostnames "$1" | while read -r node; do
        if getent hosts "$node" >/dev/null; then
            echo "$node"
        else
            scontrol --oneliner show node "$node" | sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p'
        fi
    done
}}
addresses "$SLURM_JOB_NODELIST" >"$UCLOUD_CONTROL/nodes"
{before}
srun --input=none --open-mode=append --output='stdout-%t.log' --error='stderr-%t.log' \\
    sh -c "$launcher" launcher
code=$?
{after}
# A program that a signal ended shows as 128 + signal: end the same way, so that Slurm records the signal.
if [ "$code" -gt 128 ]; then
    ulimit -c 0
    kill "-$((code - 128))" $$
fi
exit "$code"
"""

CONTROL_FOLDER = ".ucloud"
"""Name of the control folder within the job's folder."""

# Linux takes no longer text in a process's environment (MAX_ARG_STRLEN).
_COMMAND_BYTES = 120_000


def batch_script(
    job_id: str,
    *,
    software: str | None,
    exports: Sequence[str],
    command_line: str,
    surroundings: str,
    launcher_begin: str = "",
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> str:
    """Return the batch script's text, which the sidecar puts below the #SBATCH lines.

    `software` is a folder to put on PATH; `exports` and `command_line` are lines of bash.
    `launcher_begin` and `surroundings` stand before and after launcher.sh; `before` and `after` are
    parts of the batch script, run once a job, around srun. Raises LaunchError for a command that is
    too long to be handed over.
    """
    path = [f'export PATH={Literal(software).quoted()}:"$PATH"'] if software else []
    command = "\n".join([*path, *exports, f"exec {command_line}"])
    if len(command.encode()) > _COMMAND_BYTES:
        raise LaunchError("the parameters of the job are too long; put long text into a file")
    middle = resources.files(__package__).joinpath("launcher.sh").read_text()
    launcher = "\n".join(part for part in (launcher_begin, middle, surroundings) if part)
    if len(launcher.encode()) > _COMMAND_BYTES:
        raise LaunchError("the job has too many files; give it a folder that holds them")
    return _BATCH_SCRIPT.format(
        job_id=job_id,
        quoted_job_id=Literal(job_id).quoted(),
        control_folder=CONTROL_FOLDER,
        command=_here_document(command),
        launcher=_here_document(launcher),
        before="".join(f"\n{part}" for part in before),
        after="".join(f"\n{part}" for part in after),
    )


def _here_document(text: str) -> str:
    """Return an expression of bash that yields the text as it is, and that a person can read."""
    # No text holds its own digest, so none can end the document before its end.
    end = f"END-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"$(cat <<'{end}'\n{text.rstrip()}\n{end}\n)"
