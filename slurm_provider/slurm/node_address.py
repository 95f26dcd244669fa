"""scontrol on host names: which nodes a list means, and at which address a node is reached."""

import re
from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable


@dataclass(frozen=True)
class ScontrolShowHostnames(SlurmCommand[list[str]]):
    """The nodes of a list such as `n[1-3,7]`, in its order."""

    node_list: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "show", "hostnames", self.node_list]

    def parse(self, outcome: Outcome) -> list[str]:
        """Return one name a node."""
        return outcome.complete_stdout().split()


@dataclass(frozen=True)
class ScontrolNodeAddress(SlurmCommand[str]):
    """The address, or the host name, at which Slurm itself reaches a node."""

    node: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "--oneliner", "show", "node", self.node]

    def parse(self, outcome: Outcome) -> str:
        """Return the node's NodeAddr; raise SlurmUnavailable when there is none."""
        found = re.search(r"\bNodeAddr=(\S+)", outcome.complete_stdout())
        if found is None:
            raise SlurmUnavailable(f"Slurm tells no address of the node {self.node}")
        return found[1]
