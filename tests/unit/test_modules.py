"""Modules are loaded by lines of bash."""

import subprocess

import pytest

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.modules import module_lines


def ran(lines: list[str], *, module: str) -> subprocess.CompletedProcess[str]:
    """Run the lines where `module` is this function of bash, then print the word "ran"."""
    script = "\n".join([module, *lines, "echo ran"])
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


def test_no_module_needs_no_line() -> None:
    assert module_lines([], None) == []


def test_what_was_loaded_before_is_unloaded_and_each_module_is_loaded_in_order() -> None:
    run = ran(module_lines(["gcc/12", "openmpi+cuda"], None), module='module() { echo "$*"; }')
    assert run.stdout.splitlines() == ["purge", "load gcc/12", "load openmpi+cuda", "ran"]


def test_a_module_that_is_not_there_ends_the_program_in_words() -> None:
    run = ran(module_lines(["gcc", "icc", "x"], None), module='module() { [ "$2" != icc ]; }')
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "The module 'icc' could not be loaded on this node.\n"


def test_a_node_without_modules_is_named_as_the_cause() -> None:
    run = ran(module_lines(["gcc"], "/dev/null"), module="unset -f module")
    assert (run.returncode, run.stdout) == (1, "")
    assert "There are no modules here" in run.stderr


@pytest.mark.parametrize("name", ["", "-v", "a b", "'", "$(id)", "a;b", "a\nb"])
def test_what_is_no_modules_name_is_refused(name: str) -> None:
    with pytest.raises(LaunchError, match="cannot be the name of a module"):
        module_lines([name], None)
