"""squeue: what some jobs take up."""

from collections.abc import Sequence
from dataclasses import dataclass

from slurm_provider.rpc.v1.shape_pb2 import JobShape
from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable, number

# squeue(1), option --format: id, user, QOS, nodes, CPUs. None of them is a user's own text.
_FORMAT = "%A|%u|%q|%D|%C"


@dataclass(frozen=True)
class SqueueShapes(SlurmCommand[list[JobShape]]):
    """These jobs, each once: the waiting tasks of a job array have one id."""

    slurm_ids: Sequence[int]

    def argv(self) -> list[str]:
        """Return the argument list."""
        jobs = ",".join(str(slurm_id) for slurm_id in self.slurm_ids)
        return ["squeue", "--noheader", "--all", "--states=all", f"--format={_FORMAT}", f"--jobs={jobs}"]

    def parse(self, outcome: Outcome) -> list[JobShape]:
        """Return one row a job that slurmctld still knows."""
        if "Invalid job id" in outcome.stderr:
            return []
        rows = [line.split("|") for line in outcome.complete_stdout().splitlines()]
        if any(len(row) != _FORMAT.count("|") + 1 for row in rows):
            raise SlurmUnavailable("squeue's output ended within a row")
        return [
            JobShape(slurm_id=number(id_), user=user, qos=qos, nodes=number(nodes), cpus=number(cpus))
            for id_, user, qos, nodes, cpus in rows
        ]
