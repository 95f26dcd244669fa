"""squeue: what slurmctld remembers right now."""

from dataclasses import dataclass

from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable, number
from slurm_provider.slurm.times import parse_duration

# squeue(1), option --Format: --format has no letter for the number of restarts.
_COLUMNS = {
    "id": "JobID",
    "user": "UserName",
    "state": "State",
    "reason": "Reason",
    "submit": "SubmitTime",
    "start": "StartTime",
    "time limit": "TimeLimit",
    "account": "Account",
    "partition": "Partition",
    "node list": "NodeList",
    "folder": "WorkDir",
    "name": "Name",
    "comment": "Comment",
    "restarts": "RestartCnt",
}


@dataclass(frozen=True)
class Squeue(SlurmCommand[list[LiveJob]]):
    """All jobs of all users and states, or those of one name or id; job arrays one row a task.

    Names, comments and folders may hold line ends and any separator that their owners know, and so
    whole rows that look like those of other jobs. Each value therefore ends with a `separator` that
    is a new secret for each call, and that stands in the environment, not on the command line.
    """

    separator: str
    name: str = ""
    slurm_id: int = 0

    def argv(self) -> list[str]:
        """Return the argument list."""
        only = [f"--name={self.name}"] if self.name else []
        only += [f"--jobs={self.slurm_id}"] if self.slurm_id else []
        return ["squeue", "--noheader", "--all", "--states=all", "--array", *only]

    def environment(self) -> dict[str, str]:
        """Return the format of the rows: a width of 0 cuts nothing off."""
        return {"SQUEUE_FORMAT2": ",".join(f"{column}:0{self.separator}" for column in _COLUMNS.values())}

    def parse(self, outcome: Outcome) -> list[LiveJob]:
        """Return one row a job; none for an id that slurmctld does not know."""
        if self.slurm_id and "Invalid job id" in outcome.stderr:
            return []
        *values, rest = outcome.complete_stdout().split(self.separator)
        if rest.strip() or len(values) % len(_COLUMNS):
            raise SlurmUnavailable("squeue's output ended within a row")
        starts = range(0, len(values), len(_COLUMNS))
        rows = [dict(zip(_COLUMNS, values[start:], strict=False)) for start in starts]
        return [_live_job(row) for row in rows]


def _live_job(row: dict[str, str]) -> LiveJob:
    return LiveJob(
        slurm_id=number(row["id"]),
        user=row["user"],
        state=row["state"],
        reason="" if row["reason"] == "None" else row["reason"],
        submit_time=number(row["submit"]),
        start_time=number(row["start"]),
        time_limit_seconds=parse_duration(row["time limit"]),
        account=row["account"],
        partition=row["partition"],
        node_list=row["node list"],
        folder=row["folder"],
        name=row["name"],
        comment="" if row["comment"] == "(null)" else row["comment"],
        restarts=number(row["restarts"]),
    )
