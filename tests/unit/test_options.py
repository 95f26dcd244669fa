"""What an application may ask of sbatch, within what its machine type pays for."""

import pytest
from pydantic import ValidationError

from slurm_provider.config import Product, Sbatch
from slurm_provider.directives import DEFAULT_ALLOWED, FORBIDDEN, refusal
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.options import Options, options


def product(cpu: int = 8, constraint: str | None = None) -> Product:
    return Product(category="c", id="p", cluster="hpc", partition="main", cpu=cpu, constraint=constraint)


def test_an_application_that_asks_for_nothing_has_one_task_with_all_cores() -> None:
    assert options([], product(), DEFAULT_ALLOWED) == Options((), 1, 8)


@pytest.mark.parametrize(
    ("asked", "tasks", "cpus"),
    [
        ([("ntasks-per-node", "4")], 4, 2),
        ([("ntasks-per-node", "3")], 3, 2),
        ([("cpus-per-task", "2")], 4, 2),
        ([("cpus-per-task", "3")], 2, 3),
        ([("ntasks-per-node", "2"), ("cpus-per-task", "2")], 2, 2),
        ([("--ntasks-per-node", " 8 ")], 8, 1),
    ],
)
def test_tasks_share_the_cores_that_are_paid_for(asked: list[tuple[str, str]], tasks: int, cpus: int) -> None:
    assert options(asked, product(), DEFAULT_ALLOWED) == Options((), tasks, cpus)


def test_of_an_option_given_twice_the_last_counts() -> None:
    asked = [("signal", "USR1"), ("contiguous", ""), ("signal", "USR2@60")]
    assert options(asked, product(), DEFAULT_ALLOWED).others == (("signal", "USR2@60"), ("contiguous", ""))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("ntasks-per-node", "9"), "9 tasks of 1 cores on a node, but the machine type 'p' has 8"),
        (("cpus-per-task", "9"), "1 tasks of 9 cores"),
        (("cpus-per-task", "0"), "'cpus-per-task' of sbatch cannot be '0'"),
        (("cpus-per-task", "two"), "cannot be 'two'"),
        (("cpus-per-task", "²"), "cannot be '²'"),
        (("exclusive", ""), "'exclusive' of sbatch is not allowed on this provider"),
        (("account", "root"), "'account' of sbatch is the provider's own"),
        (("accoun", "root"), "'accoun' of sbatch is the provider's own"),
        (("A", "root"), "'A' is not the long name of an option"),
        (("signal\n#SBATCH", "x"), "is not the long name of an option"),
        (("signal=x --account", "x"), "is not the long name of an option"),
        (("signal", "x\n#SBATCH --uid=0"), "'signal' of sbatch cannot be"),
        (("signal", "a b"), "'signal' of sbatch cannot be"),
    ],
)
def test_what_an_application_may_not_have_is_refused_by_the_options_name(
    asked: tuple[str, str], words: str
) -> None:
    with pytest.raises(LaunchError, match="the application cannot run: ") as refused:
        options([asked], product(), DEFAULT_ALLOWED)
    assert words in str(refused.value)


def test_a_constraint_does_not_replace_the_machine_types_own() -> None:
    asked = [("constraint", "ib")]
    assert options(asked, product(), DEFAULT_ALLOWED).others == (("constraint", "ib"),)
    with pytest.raises(LaunchError, match="'constraint' cannot be set"):
        options(asked, product(constraint="intel"), DEFAULT_ALLOWED)


def test_a_site_may_allow_more() -> None:
    allowed = Sbatch(allow=("exclusive",)).allow
    assert options([("exclusive", "")], product(), allowed).others == (("exclusive", ""),)
    with pytest.raises(LaunchError, match="'signal' of sbatch is not allowed"):
        options([("signal", "USR1")], product(), allowed)


@pytest.mark.parametrize("name", ["account", "acc", "mem", "Exclusive", "x y"])
def test_no_site_can_allow_what_is_the_providers_own(name: str) -> None:
    with pytest.raises(ValidationError):
        Sbatch(allow=(name,))


def test_nothing_that_is_allowed_by_default_is_forbidden() -> None:
    assert [name for name in DEFAULT_ALLOWED if refusal(name)] == []
    assert all(refusal(name) for name in FORBIDDEN)
