"""squeue: what slurmctld remembers right now."""

from dataclasses import dataclass

from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.slurm.command import Outcome, rows
from slurm_provider.slurm.times import parse_duration, parse_epoch

# squeue(1), option --format.
_COLUMNS = {
    "id": "%A",
    "user": "%u",
    "state": "%T",
    "reason": "%r",
    "submit": "%V",
    "start": "%S",
    "time limit": "%l",
    "account": "%a",
    "partition": "%P",
    "node list": "%N",
    "folder": "%Z",
    "name": "%j",
    "comment": "%k",
}


@dataclass(frozen=True)
class Squeue:
    """All jobs of all users and states, or those of one name or id; job arrays one row a task.

    `separator` is a secret of this call (see `rows`).
    """

    separator: str
    name: str = ""
    slurm_id: int = 0

    def argv(self) -> list[str]:
        """Return the argument list."""
        only = [f"--name={self.name}"] if self.name else []
        only += [f"--jobs={self.slurm_id}"] if self.slurm_id else []
        columns = "".join(f"{column}{self.separator}" for column in _COLUMNS.values())
        return ["squeue", "--noheader", "--all", "--states=all", "--array", *only, f"--format={columns}"]

    def parse(self, outcome: Outcome) -> list[LiveJob]:
        """Return one row a job; none for an id that slurmctld does not know."""
        if self.slurm_id and "Invalid job id" in outcome.stderr:
            return []
        table = rows(outcome.complete_stdout(), list(_COLUMNS), self.separator)
        return [_live_job(row) for row in table]


def _live_job(row: dict[str, str]) -> LiveJob:
    return LiveJob(
        slurm_id=int(row["id"]),
        user=row["user"],
        state=row["state"],
        reason="" if row["reason"] == "None" else row["reason"],
        submit_time=parse_epoch(row["submit"]),
        start_time=parse_epoch(row["start"]),
        time_limit_seconds=parse_duration(row["time limit"]),
        account=row["account"],
        partition=row["partition"],
        node_list=row["node list"],
        folder=row["folder"],
        name=row["name"],
        comment="" if row["comment"] == "(null)" else row["comment"],
    )
