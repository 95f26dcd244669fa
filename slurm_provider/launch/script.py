"""The text of a job: its batch script and the files beside it.

In the job's folder (`/work` to the application) a control folder holds
`job.sh` (the batch script), `launcher.sh` (started once a replica), `command.sh` (environment and
command line of the application), `nodes` and, a replica each, `rank-N/` (shown as /etc/ucloud).
"""

from collections.abc import Sequence
from importlib import resources

from slurm_provider.launch.invocation import Literal
from slurm_provider.rpc.v1.submission_pb2 import ControlFile

# srun writes one stdout and one stderr file a replica; %t is its rank.
_BATCH_SCRIPT = """\
# UCloud job {job_id}: one launcher a replica, started by srun.
export UCLOUD_JOB_ID={quoted_job_id}
export UCLOUD_CONTROL="$PWD/{control_folder}"

# Addresses that work from the other nodes: the name where it resolves, else what Slurm itself uses.
scontrol show hostnames "$SLURM_JOB_NODELIST" | while read -r node; do
    if getent hosts "$node" >/dev/null; then
        echo "$node"
    else
        scontrol --oneliner show node "$node" | sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p'
    fi
done >"$UCLOUD_CONTROL/nodes"

srun --input=none --open-mode=append --output='stdout-%t.log' --error='stderr-%t.log' \\
    sh "$UCLOUD_CONTROL/launcher.sh" {root}
code=$?

# A program that a signal ended shows as 128 + signal: end the same way, so that Slurm records the signal.
if [ "$code" -gt 128 ]; then
    ulimit -c 0
    kill "-$((code - 128))" $$
fi
exit "$code"
"""

CONTROL_FOLDER = ".ucloud"
"""Name of the control folder within the job's folder."""


def batch_script(job_id: str, *, container: bool) -> str:
    """Return the batch script's text, which the sidecar puts below the #SBATCH lines."""
    return _BATCH_SCRIPT.format(
        job_id=job_id,
        quoted_job_id=Literal(job_id).quoted(),
        control_folder=CONTROL_FOLDER,
        root="container" if container else "native",
    )


def control_files(software: str | None, exports: Sequence[str], command_line: str) -> list[ControlFile]:
    """Return launcher.sh and command.sh; `software` is a folder to put on PATH."""
    path = [f'export PATH={Literal(software).quoted()}:"$PATH"'] if software else []
    command = "\n".join([*path, *exports, f"exec {command_line}", ""])
    launcher = resources.files(__package__).joinpath("launcher.sh").read_text()
    return [ControlFile(name="launcher.sh", text=launcher), ControlFile(name="command.sh", text=command)]
