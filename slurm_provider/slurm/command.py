"""What every Slurm command has in common."""

import re
from dataclasses import dataclass
from typing import Protocol, TypeVar

SEPARATOR = "\x1f"
"""Stands between columns: the one character that no job name or comment can hold."""

Answer = TypeVar("Answer", covariant=True)


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


class SlurmCommand(Protocol[Answer]):
    """A command line and what its output means."""

    def argv(self) -> list[str]:
        """Return the argument list, program name first."""
        ...

    def parse(self, outcome: Outcome) -> Answer:
        """Return what the command said; raise SlurmUnavailable when it gave no complete answer."""
        ...


def rows(text: str, columns: int) -> list[list[str]]:
    """Cut output into rows of exactly `columns` values; raise SlurmUnavailable when one does not fit.

    A job's comment may hold line ends, so rows are counted by separators and not by lines: a row
    that has too few values goes on in the next line.
    """
    found: list[list[str]] = []
    pending = ""
    for line in text.split("\n"):
        if not line and not pending:
            continue
        pending = f"{pending}\n{line}" if pending else line
        values = pending.split(SEPARATOR)
        if len(values) > columns:
            raise SlurmUnavailable(f"unexpected output: {pending[:200]!r}")
        if len(values) == columns:
            found.append(values)
            pending = ""
    if pending.strip():
        raise SlurmUnavailable(f"output ended within a row: {pending[:200]!r}")
    return found
