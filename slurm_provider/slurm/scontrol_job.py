"""scontrol on one job: what an operator may do to it."""

from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable, doubtful
from slurm_provider.slurm.times import format_duration


class JobChangeRefused(Exception):
    """Slurm does not change the job; the text is its reason."""


@dataclass(frozen=True)
class ScontrolSetTimeLimit(SlurmCommand[None]):
    """Sets a job's time limit; Slurm rounds it up to whole minutes."""

    slurm_id: int
    seconds: int

    def argv(self) -> list[str]:
        """Return the argument list."""
        limit = format_duration(self.seconds)
        return ["scontrol", "update", f"JobId={self.slurm_id}", f"TimeLimit={limit}"]

    def parse(self, outcome: Outcome) -> None:
        """Raise JobChangeRefused or SlurmUnavailable when the limit was not set."""
        _check(outcome)


@dataclass(frozen=True)
class ScontrolStartNow(SlurmCommand[None]):
    """Lets a waiting job start as soon as there is room."""

    slurm_id: int

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "update", f"JobId={self.slurm_id}", "StartTime=now"]

    def parse(self, outcome: Outcome) -> None:
        """Raise JobChangeRefused or SlurmUnavailable when nothing was changed."""
        _check(outcome)


@dataclass(frozen=True)
class ScontrolJob(SlurmCommand[None]):
    """`scontrol suspend|resume|hold|release|requeuehold` of a job."""

    verb: str
    slurm_id: int

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", self.verb, str(self.slurm_id)]

    def parse(self, outcome: Outcome) -> None:
        """Raise JobChangeRefused or SlurmUnavailable when nothing was changed."""
        _check(outcome)


def _check(outcome: Outcome) -> None:
    if outcome.returncode is None or (outcome.returncode and doubtful(outcome.complaint)):
        raise SlurmUnavailable(outcome.complaint)
    if outcome.returncode:
        raise JobChangeRefused(outcome.complaint)
