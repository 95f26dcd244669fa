"""scancel: ask Slurm to end a job, or to signal it."""

from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmCommand


@dataclass(frozen=True)
class Scancel(SlurmCommand[None]):
    """Ends one job. Exit code 0 is also what unknown and finished ids get, so it proves nothing."""

    slurm_id: int

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scancel", str(self.slurm_id)]

    def parse(self, outcome: Outcome) -> None:
        """Raise SlurmUnavailable when Slurm could not be asked."""
        if "Invalid job id" not in outcome.stderr and "already completing or completed" not in outcome.stderr:
            outcome.complete_stdout()


@dataclass(frozen=True)
class SignalBatchScript(SlurmCommand[None]):
    """Sends a signal to a job's batch script alone, not to what it has started."""

    slurm_id: int
    signal: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scancel", f"--signal={self.signal}", "--batch", str(self.slurm_id)]

    def parse(self, outcome: Outcome) -> None:
        """Raise SlurmUnavailable when Slurm did not take it."""
        outcome.complete_stdout()
