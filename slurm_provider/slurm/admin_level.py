"""sacctmgr show user: may a user see and change every job?"""

from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmCommand

SEES_ALL = frozenset({"Operator", "Administrator"})


@dataclass(frozen=True)
class SacctmgrShowAdminLevel(SlurmCommand[str]):
    """A user's AdminLevel: None, Operator or Administrator; empty where Slurm does not know the user."""

    user: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        options = ["--noheader", "--parsable2", "--readonly"]
        return ["sacctmgr", *options, "show", "user", f"name={self.user}", "format=AdminLevel"]

    def parse(self, outcome: Outcome) -> str:
        """Return the level."""
        return next(iter(outcome.complete_stdout().split()), "")
