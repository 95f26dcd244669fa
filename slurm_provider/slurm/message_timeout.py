"""scontrol show config: the one setting of Slurm's that our own time-outs depend on."""

import re
from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmUnavailable


@dataclass(frozen=True)
class ScontrolMessageTimeout:
    """Slurm's MessageTimeout: how long its commands wait for slurmctld."""

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "show", "config"]

    def parse(self, outcome: Outcome) -> int:
        """Return the time-out in seconds."""
        match = re.search(r"^MessageTimeout\s*=\s*(\d+) sec", outcome.complete_stdout(), re.MULTILINE)
        if match is None:
            raise SlurmUnavailable("scontrol shows no MessageTimeout")
        return int(match[1])
