"""sacct: what slurmdbd has recorded, one row for each attempt of a job."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable, number

# Column and its width in bytes.
_COLUMNS = {
    "JobIDRaw": 12,
    "User": 64,
    "State": 40,
    "ExitCode": 8,
    "DerivedExitCode": 8,
    "Submit": 12,
    "Start": 12,
    "End": 12,
    "ElapsedRaw": 12,
    "Account": 64,
    "Partition": 64,
    "NodeList": 128,
    "JobName": 112,
}
_OUT_OF_MEMORY_SIGNAL = 125
"""What Slurm records as the signal of a job or step that the kernel killed for want of memory."""
_ROW_BYTES = sum(_COLUMNS.values()) + len(_COLUMNS) + 1
"""A blank follows each column, and a line end the row."""


@dataclass(frozen=True)
class Sacct(SlurmCommand[list[AccountingRecord]]):
    """Records of the jobs that were queued or running at or after `since` (epoch seconds).

    Without a start sacct looks back to midnight only, so one is always given. With `slurm_ids` it
    also shows jobs that were never eligible to run, which it hides otherwise. All attempts of a
    requeued job are shown (--duplicates), and times must be read under TZ=UTC.

    A job's name may hold line ends and what looks like the rows of other jobs. The columns are
    therefore of fixed width and the rows are cut by counting bytes, which no name can change.
    """

    since: int
    slurm_ids: Sequence[int] = ()
    name: str = ""

    def argv(self) -> list[str]:
        """Return the argument list."""
        start = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        columns = ",".join(f"{column}%{width}" for column, width in _COLUMNS.items())
        command = ["sacct", "--allusers", "--allocations", "--duplicates", "--noheader"]
        command += [f"--format={columns}", f"--starttime={start}"]
        if self.slurm_ids:
            command.append(f"--jobs={','.join(map(str, self.slurm_ids))}")
        if self.name:
            command.append(f"--name={self.name}")
        return command

    def parse(self, outcome: Outcome) -> list[AccountingRecord]:
        """Return one record an attempt, in sacct's order."""
        output = outcome.complete_bytes()
        if len(output) % _ROW_BYTES:
            raise SlurmUnavailable("sacct's output ended within a row")
        starts = range(0, len(output), _ROW_BYTES)
        return [_record(_cut(output[start : start + _ROW_BYTES])) for start in starts]


def _cut(row: bytes) -> dict[str, str]:
    values, start = {}, 0
    for column, width in _COLUMNS.items():
        values[column] = row[start : start + width].decode(errors="replace").strip()
        start += width + 1
    return values


def _record(row: dict[str, str]) -> AccountingRecord:
    state, cancelled_by = parse_state(row["State"])
    exit_code, _, exit_signal = row["ExitCode"].partition(":")
    derived_signal = row["DerivedExitCode"].partition(":")[2]
    return AccountingRecord(
        slurm_id=number(row["JobIDRaw"]),
        user=row["User"],
        state=state,
        cancelled_by_uid=cancelled_by,
        exit_code=number(exit_code),
        exit_signal=number(exit_signal),
        out_of_memory=state == "OUT_OF_MEMORY" or number(derived_signal) == _OUT_OF_MEMORY_SIGNAL,
        submit_time=number(row["Submit"]),
        start_time=number(row["Start"]),
        end_time=number(row["End"]),
        elapsed_seconds=number(row["ElapsedRaw"]),
        account=row["Account"],
        partition=row["Partition"],
        node_list="" if row["NodeList"] == "None assigned" else row["NodeList"],
        name=row["JobName"],
    )


def parse_state(text: str) -> tuple[str, int | None]:
    """Return Slurm's state word and, for `CANCELLED by 1000`, the uid of who did it."""
    match = re.fullmatch(r"(\S+)(?: by (\d+))?", text)
    if match is None:
        return text, None
    return match[1], int(match[2]) if match[2] else None
