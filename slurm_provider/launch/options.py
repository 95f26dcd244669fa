"""The options of sbatch that an application asks for, within the share that its product pays for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from slurm_provider.config import Product
from slurm_provider.directives import is_safe_value, refusal
from slurm_provider.launch.errors import LaunchError


@dataclass(frozen=True)
class Options:
    """Options by name; how many tasks share the product's cores on a node, and the cores of each."""

    others: tuple[tuple[str, str], ...]
    tasks_per_node: int
    cpus_per_task: int


def options(asked: Sequence[tuple[str, str]], product: Product, allowed: Collection[str]) -> Options:
    """Return what an application may have of what it asks for; of an option given twice the last counts.

    Raises LaunchError, naming the option, for one that is not allowed or is more than the product has.
    """
    chosen = {name.removeprefix("--"): value.strip() for name, value in asked}
    for name, value in chosen.items():
        _check(name, value, allowed)
    if "constraint" in chosen and product.constraint:
        raise _refused("the machine type says on what nodes it runs, so 'constraint' cannot be set")
    tasks, cpus = _number(chosen, "ntasks-per-node"), _number(chosen, "cpus-per-task")
    if (tasks or 1) * (cpus or 1) > product.cpu:
        wanted = f"{tasks or 1} tasks of {cpus or 1} cores on a node"
        raise _refused(f"it asks for {wanted}, but the machine type '{product.id}' has {product.cpu}")
    tasks = tasks or (product.cpu // cpus if cpus else 1)
    return Options(tuple(chosen.items()), tasks, cpus or product.cpu // tasks)


def _check(name: str, value: str, allowed: Collection[str]) -> None:
    if why := refusal(name):
        raise _refused(why)
    if name not in allowed:
        raise _refused(f"the option '{name}' of sbatch is not allowed on this provider")
    if not is_safe_value(value):
        raise _refused(f"the option '{name}' of sbatch cannot be {value!r}")


def _number(chosen: dict[str, str], name: str) -> int | None:
    value = chosen.pop(name, None)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise _refused(f"the option '{name}' of sbatch cannot be {value!r}")
    return int(value)


def _refused(why: str) -> LaunchError:
    return LaunchError(f"the application cannot run: {why}")
