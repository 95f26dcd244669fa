"""The text of a job: one batch script that holds all it runs.

In the job's folder (`/work` to the application) a control folder holds a copy of the batch script
(`job.sh`), its own output (`batch.log`), the addresses of the nodes (`nodes`), those of connected jobs
(`peers`), what opens a terminal (`enter`) and, for each replica, `rank-N/`, which the replica sees as
/etc/ucloud, its environment (`environment-N`) and its process (`program-N`).
"""

import hashlib
from collections.abc import Sequence
from importlib import resources

from slurm_provider.launch.backend import Backend
from slurm_provider.launch.enter import enter_file
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.facts import Facts

# srun writes one stdout and one stderr file a replica; %t is its rank.
_BATCH_SCRIPT = """\
# UCloud job {job_id}: a launcher runs the command, in each replica or once beside the batch script.
{variables}
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

# srun gives a task one core, whatever sbatch was told, unless it is told again.
export UCLOUD_CORES=$((${{SLURM_NTASKS_PER_NODE:-1}} * ${{SLURM_CPUS_PER_TASK:-1}}))
{before}
# Slurm sends SIGTERM to every process, but whatever is left when the batch script ends it kills. So this
# waits for what it has started, and hands on what `--signal=B:` sends to the batch script alone.
trap : TERM
for signal in HUP INT USR1 USR2; do
    trap "kill -s $signal \\$program" "$signal"
done
(
    trap - INT QUIT # which the background ignores
{start}
) &
program=$!
while kill -0 "$program" 2>/dev/null; do
    wait "$program"
done
wait "$program"
code=$?
{after}
# A program that a signal ended shows as 128 + signal: end the same way, so that Slurm records the signal.
trap - TERM HUP INT USR1 USR2
if [ "$code" -gt 128 ]; then
    ulimit -c 0
    kill "-$((code - 128))" $$
fi
exit "$code"
"""

_IN_EACH_REPLICA = """\
    exec srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task="$UCLOUD_CORES" \\
        --input=none --open-mode=append --output='stdout-%t.log' --error='stderr-%t.log' \\
        sh -c "$launcher" launcher"""
_IN_THE_BATCH_STEP = """\
    export SLURM_PROCID=0 SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
    exec sh -c "$launcher" launcher </dev/null >>stdout-0.log 2>>stderr-0.log"""

CONTROL_FOLDER = ".ucloud"
"""Name of the control folder within the job's folder."""

# Linux takes no longer text in a process's environment (MAX_ARG_STRLEN).
_COMMAND_BYTES = 120_000


def batch_script(facts: Facts, ran_by: Backend, *, command: Sequence[str], in_batch_step: bool) -> str:
    """Return the batch script's text, which the sidecar puts below the #SBATCH lines.

    `command` are lines of bash; `in_batch_step` says that they run once instead of in each replica.
    A replica is one task with all cores of its node, however many tasks Slurm gives the node. Raises
    LaunchError for a command that is too long to be handed over.
    """
    text = "\n".join(command)
    if "\0" in text:
        raise LaunchError("the command line holds a NUL character")
    if len(text.encode()) > _COMMAND_BYTES:
        raise LaunchError("the parameters of the job are too long; put long text into a file")
    middle = resources.files(__package__).joinpath("launcher.sh").read_text()
    launcher = "\n".join(part for part in (ran_by.launcher_begin, middle, ran_by.surroundings) if part)
    if len(launcher.encode()) > _COMMAND_BYTES:
        raise LaunchError("the job has too many files; give it a folder that holds them")
    return _BATCH_SCRIPT.format(
        job_id=facts.job_id,
        variables=facts.exports(),
        control_folder=CONTROL_FOLDER,
        command=_here_document(text),
        launcher=_here_document(launcher),
        before="".join(f"\n{part}" for part in (enter_file(ran_by.view), *ran_by.before)),
        start=_IN_THE_BATCH_STEP if in_batch_step else _IN_EACH_REPLICA,
        after="".join(f"\n{part}" for part in ran_by.after),
    )


def _here_document(text: str) -> str:
    """Return an expression of bash that yields the text as it is, and that a person can read."""
    # No text holds its own digest, so none can end the document before its end.
    end = f"END-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"$(cat <<'{end}'\n{text.rstrip()}\n{end}\n)"
