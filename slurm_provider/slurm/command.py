"""What every Slurm command has in common."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Answer = TypeVar("Answer", covariant=True)

_DOUBTFUL = re.compile(
    r"timed out|timeout|unable to contact|connect failure|communication|connection|zero bytes|temporarily"
    r"|standby|authentication|munge|send/recv|socket|unexpected message|protocol|no answer in time",
    re.IGNORECASE,
)


class SlurmUnavailable(Exception):
    """A command gave no complete answer, so nothing may be concluded from what it left out."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `returncode` is None when its time-out ended it."""

    returncode: int | None
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last thing that the command said on stderr, without its own name in front."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        if lines:
            return re.sub(r"^\w+: (error: |fatal: )?", "", lines[-1])
        return "no answer in time" if self.returncode is None else f"exit code {self.returncode}"

    def complete_stdout(self) -> str:
        """Return stdout of a command that succeeded; raise SlurmUnavailable for one that did not."""
        if self.returncode != 0:
            raise SlurmUnavailable(self.complaint)
        return self.stdout


def doubtful(complaint: str) -> bool:
    """Say whether slurmctld may have done what was asked although it, munge or the network complained."""
    return bool(_DOUBTFUL.search(complaint))


class SlurmCommand(Protocol[Answer]):
    """A command line and what its output means."""

    def argv(self) -> list[str]:
        """Return the argument list, program name first."""
        ...

    def parse(self, outcome: Outcome) -> Answer:
        """Return what the command said; raise SlurmUnavailable when it gave no complete answer."""
        ...


def rows(text: str, columns: Sequence[str], separator: str) -> list[dict[str, str]]:
    """Return the rows of output in which the separator ends every value; SlurmUnavailable if it does not fit.

    Job names and comments may hold line ends and any separator that their owners can guess, and so
    whole rows that look like those of other jobs. The separator must therefore be a new secret for
    each call.
    """
    *values, rest = text.split(separator)
    if rest.strip() or len(values) % len(columns):
        raise SlurmUnavailable(f"output ended within a row: {text[-200:]!r}")
    starts = range(0, len(values), len(columns))
    table = [dict(zip(columns, values[start : start + len(columns)], strict=True)) for start in starts]
    for row in table:
        row[columns[0]] = row[columns[0]].lstrip("\n")
    return table
