"""What every Slurm command has in common."""

import re
from collections.abc import Mapping
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
    """How a command ended. `returncode` is None when its time-out ended it.

    Bytes of stdout that are no UTF-8 stand as lone surrogates (`surrogateescape`).
    """

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
        return self.complete_bytes().decode(errors="replace")

    def complete_bytes(self) -> bytes:
        """Return stdout byte for byte; raise SlurmUnavailable for a command that did not succeed."""
        if self.returncode != 0:
            raise SlurmUnavailable(self.complaint)
        return self.stdout.encode(errors="surrogateescape")


def doubtful(complaint: str) -> bool:
    """Say whether slurmctld may have done what was asked although it, munge or the network complained."""
    return bool(_DOUBTFUL.search(complaint))


class SlurmCommand(Protocol[Answer]):
    """A command line and what its output means."""

    def argv(self) -> list[str]:
        """Return the argument list, program name first. Every user of the machine can see it."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Return variables to add to the command's environment, which no other user can see."""
        return {}

    def stdin(self) -> str:
        """Return what the command reads."""
        return ""

    def parse(self, outcome: Outcome) -> Answer:
        """Return what the command said; raise SlurmUnavailable when it gave no complete answer."""
        ...


def number(text: str) -> int:
    """Return a whole number, or 0 for `Unknown`, `N/A` and the like: one odd row must not hide the rest."""
    return int(text) if text.strip().isdecimal() else 0
