"""What partitions, QOS and associations allow: read, so that the impossible is refused before sbatch."""

from dataclasses import dataclass

from slurm_provider.rpc.v1.queue_pb2 import Association, PartitionLimits, QosLimits
from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable
from slurm_provider.slurm.times import parse_duration

_PARSABLE = ["--noheader", "--parsable2", "--readonly"]


@dataclass(frozen=True)
class ScontrolShowPartition(SlurmCommand[list[PartitionLimits]]):
    """All partitions, one line each."""

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "--oneliner", "--all", "show", "partition"]

    def parse(self, outcome: Outcome) -> list[PartitionLimits]:
        """Return one row a partition."""
        lines = outcome.complete_stdout().splitlines()
        return [_partition(line) for line in lines if line.startswith("PartitionName=")]


def _partition(line: str) -> PartitionLimits:
    fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
    return PartitionLimits(
        name=fields["PartitionName"],
        max_time_seconds=parse_duration(fields.get("MaxTime", "")),
        max_nodes=_count(fields.get("MaxNodes", "")),
        total_nodes=_count(fields.get("TotalNodes", "")),
        allow_accounts=_names(fields.get("AllowAccounts", "ALL")),
        allow_qos=_names(fields.get("AllowQos", "ALL")),
        stopped=fields.get("State", "UP") != "UP",
    )


@dataclass(frozen=True)
class SacctmgrShowQos(SlurmCommand[list[QosLimits]]):
    """All QOS and their limits for one job."""

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["sacctmgr", *_PARSABLE, "show", "qos", "format=Name,MaxWall,MaxTRES,Flags"]

    def parse(self, outcome: Outcome) -> list[QosLimits]:
        """Return one row a QOS."""
        return [
            QosLimits(
                name=name,
                max_wall_seconds=parse_duration(wall),
                max_nodes_per_job=_nodes_of(tres),
                flags=[flag for flag in flags.split(",") if flag],
            )
            for name, wall, tres, flags in _table(outcome, 4)
        ]


@dataclass(frozen=True)
class SacctmgrShowAssociations(SlurmCommand[list[Association]]):
    """All associations of users with accounts on one cluster of those that slurmdbd serves."""

    cluster_name: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        columns = "Account,User,Partition,QOS,MaxWall,MaxTRES"
        only = f"cluster={self.cluster_name}"
        return ["sacctmgr", *_PARSABLE, "show", "associations", "where", only, f"format={columns}"]

    def parse(self, outcome: Outcome) -> list[Association]:
        """Return one row an association of a user; those of accounts alone are left out."""
        return [
            Association(
                account=account,
                user=user,
                partition=partition,
                qos=[name for name in qos.split(",") if name],
                max_wall_seconds=parse_duration(wall),
                max_nodes_per_job=_nodes_of(tres),
            )
            for account, user, partition, qos, wall, tres in _table(outcome, 6)
            if user
        ]


def _table(outcome: Outcome, columns: int) -> list[list[str]]:
    """Return the rows of sacctmgr's output, whose texts are the administrators' own."""
    table = [line.split("|") for line in outcome.complete_stdout().splitlines() if line]
    if any(len(row) != columns for row in table):
        raise SlurmUnavailable("output ended within a row")
    return table


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _names(text: str) -> list[str]:
    return [] if text == "ALL" else text.split(",")


def _nodes_of(tres: str) -> int:
    """Return the number of nodes in a TRES list such as `cpu=8,node=2`; 0 when it names none."""
    counts = dict(part.split("=", 1) for part in tres.split(",") if "=" in part)
    return _count(counts.get("node", ""))
