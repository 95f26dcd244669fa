"""scontrol show node: what each node has, and how much of it is in use."""

from dataclasses import dataclass

from slurm_provider.rpc.v1.queue_pb2 import Node
from slurm_provider.slurm.command import Outcome, SlurmCommand

# States (sinfo(1), NODE STATE CODES) in which a node takes no jobs and runs none that count.
_AWAY = ("DOWN", "FAIL", "FUTURE", "NOT_RESPONDING", "POWERED_DOWN", "UNKNOWN")
# States in which it keeps its jobs and gets no new ones.
_CLOSED = ("DRAIN", "DRAINED", "DRAINING", "FAILING", "MAINTENANCE", "REBOOT_ISSUED")


@dataclass(frozen=True)
class ScontrolShowNodes(SlurmCommand[list[Node]]):
    """All nodes, one line each."""

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "--oneliner", "--all", "show", "node"]

    def parse(self, outcome: Outcome) -> list[Node]:
        """Return one row a node."""
        lines = outcome.complete_stdout().splitlines()
        return [_node(line) for line in lines if line.startswith("NodeName=")]


def _node(line: str) -> Node:
    fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
    states = [state.rstrip("*~#!%$@^-") for state in fields.get("State", "UNKNOWN").split("+")]
    available = not set(states) & set(_AWAY)
    return Node(
        name=fields["NodeName"],
        partitions=[name for name in fields.get("Partitions", "").split(",") if name],
        available=available,
        takes_jobs=available and not set(states) & set(_CLOSED),
        cpus=int(fields.get("CPUTot", 0)),
        cpus_in_use=int(fields.get("CPUAlloc", 0)),
        memory_bytes=int(fields.get("RealMemory", 0)) << 20,
        memory_in_use_bytes=int(fields.get("AllocMem", 0)) << 20,
    )
