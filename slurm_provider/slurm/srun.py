"""srun in a running job: a step beside the job's own."""

from collections.abc import Sequence


def shell_step(slurm_id: int, node: str, folder: str, program: Sequence[str]) -> list[str]:
    """Return the command line that runs a program on a pty of one of the job's nodes.

    It shares what the job has there, memory included, and so waits for nothing. It is sampled as often as
    the job (--acctg-freq): slurmd starts no step that asks for less.
    """
    return [
        "srun",
        f"--jobid={slurm_id}",
        *("--overlap", "--nodes=1", "--ntasks=1", f"--nodelist={node}", "--mem=0"),
        *("--pty", "--quiet", "--mpi=none", "--job-name=shell", f"--chdir={folder}"),
        *program,
    ]
