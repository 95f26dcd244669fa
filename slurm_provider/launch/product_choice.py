"""The partition and the QOS that a user has chosen, where the product leaves a choice."""

from collections.abc import Iterable, Mapping

from slurm_provider.config import Product
from slurm_provider.launch.errors import LaunchError
from slurm_provider.ucloud.choices import PARTITION, QOS
from slurm_provider.ucloud.values import ParameterValue


def partitions_to_choose(product: Product) -> list[str]:
    """Return the partitions that a job of this product can run in, its usual one first."""
    return [product.partition, *product.partition_choices]


def qos_to_choose(product: Product) -> list[str]:
    """Return the QOS that a job of this product can have, its usual one first; none without a choice."""
    return [name for name in (product.qos, *product.qos_choices) if name] if product.qos_choices else []


def as_chosen(product: Product, values: Mapping[str, ParameterValue]) -> Product:
    """Return the product with the partition and QOS that its user chose; raise LaunchError for others."""
    chosen = {}
    if partition := chosen_text(values, PARTITION):
        chosen["partition"] = one_of(partition, partitions_to_choose(product), "partition")
    if qos := chosen_text(values, QOS):
        chosen["qos"] = one_of(qos, qos_to_choose(product), "QOS")
    return product.model_copy(update=chosen)


def chosen_text(values: Mapping[str, ParameterValue], name: str) -> str | None:
    """Return the text of a choice, None where nothing was chosen; raise LaunchError for anything else."""
    given = values.get(name)
    if given is None or given.value in (None, ""):
        return None
    if not isinstance(given.value, str):
        raise LaunchError(f"{name} takes a text")
    return given.value


def one_of(chosen: str, offered: Iterable[str], what: str) -> str:
    """Return what was chosen; raise LaunchError when it was not offered."""
    if chosen not in offered:
        raise LaunchError(f"the {what} '{chosen}' is not yours to choose for this job")
    return chosen
