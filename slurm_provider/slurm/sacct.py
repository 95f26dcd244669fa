"""sacct: what slurmdbd has recorded, one row for each attempt of a job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.slurm.command import Outcome, rows
from slurm_provider.slurm.times import parse_epoch

_COLUMNS = (
    "JobIDRaw",
    "User",
    "State",
    "ExitCode",
    "Submit",
    "Start",
    "End",
    "ElapsedRaw",
    "Account",
    "Partition",
    "NodeList",
    "WorkDir",
    "JobName",
    "Comment",
)


@dataclass(frozen=True)
class Sacct:
    """Records of the jobs that were queued or running at or after `since` (epoch seconds).

    Without a start sacct looks back to midnight only, so one is always given. With `slurm_ids` it
    also shows jobs that were never eligible to run, which it hides otherwise. All attempts of a
    requeued job are shown (--duplicates), and times must be read under TZ=UTC. `separator` is a
    secret of this call (see `rows`).
    """

    separator: str
    since: int
    slurm_ids: Sequence[int] = ()
    name: str = ""

    def argv(self) -> list[str]:
        """Return the argument list."""
        start = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        command = ["sacct", "--allusers", "--allocations", "--duplicates", "--noheader", "--parsable"]
        command += [f"--delimiter={self.separator}", f"--format={','.join(_COLUMNS)}", f"--starttime={start}"]
        if self.slurm_ids:
            command.append(f"--jobs={','.join(map(str, self.slurm_ids))}")
        if self.name:
            command.append(f"--name={self.name}")
        return command

    def parse(self, outcome: Outcome) -> list[AccountingRecord]:
        """Return one record an attempt, in sacct's order."""
        table = rows(outcome.complete_stdout(), _COLUMNS, self.separator)
        return [_record(row) for row in table]


def _record(row: dict[str, str]) -> AccountingRecord:
    state, cancelled_by = parse_state(row["State"])
    exit_code, _, exit_signal = row["ExitCode"].partition(":")
    return AccountingRecord(
        slurm_id=int(row["JobIDRaw"]),
        user=row["User"],
        state=state,
        cancelled_by_uid=cancelled_by,
        exit_code=int(exit_code or 0),
        exit_signal=int(exit_signal or 0),
        submit_time=parse_epoch(row["Submit"]),
        start_time=parse_epoch(row["Start"]),
        end_time=parse_epoch(row["End"]),
        elapsed_seconds=int(row["ElapsedRaw"] or 0),
        account=row["Account"],
        partition=row["Partition"],
        node_list="" if row["NodeList"] == "None assigned" else row["NodeList"],
        folder=row["WorkDir"],
        name=row["JobName"],
        comment=row["Comment"],
    )


def parse_state(text: str) -> tuple[str, int | None]:
    """Return Slurm's state word and, for `CANCELLED by 1000`, the uid of who did it."""
    match = re.fullmatch(r"(\S+)(?: by (\d+))?", text)
    if match is None:
        return text, None
    return match[1], int(match[2]) if match[2] else None
