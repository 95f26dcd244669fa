"""scontrol show config: the few settings of Slurm's that ours depend on."""

from dataclasses import dataclass

from slurm_provider.slurm.command import Outcome, SlurmCommand, SlurmUnavailable, number


@dataclass(frozen=True)
class SlurmSettings:
    """Slurm's name for the cluster, how long its commands wait, and what accounting enforces."""

    cluster_name: str
    message_timeout_seconds: int
    enforced: frozenset[str]


@dataclass(frozen=True)
class ScontrolShowConfig(SlurmCommand[SlurmSettings]):
    """Slurm's settings as slurmctld uses them."""

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["scontrol", "show", "config"]

    def parse(self, outcome: Outcome) -> SlurmSettings:
        """Return the settings; raise SlurmUnavailable when one of them is not shown."""
        lines = [line.split("=", 1) for line in outcome.complete_stdout().splitlines() if "=" in line]
        settings = {name.strip(): value.strip() for name, value in lines}
        try:
            return SlurmSettings(
                cluster_name=settings["ClusterName"],
                message_timeout_seconds=number(settings["MessageTimeout"].removesuffix(" sec")),
                enforced=frozenset(settings["AccountingStorageEnforce"].split(",")),
            )
        except KeyError as error:
            raise SlurmUnavailable(f"scontrol shows no {error}") from error
