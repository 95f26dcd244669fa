"""A virtual machine becomes a batch script, or is refused in words."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.config import ConfigError, FacadeConfig, load_facade
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.plan import plan
from slurm_provider.rpc.v1.operation_pb2 import (
    PROGRESS_REQUEUE_HOLD,
    PROGRESS_SAVE_HOLD,
    PROGRESS_SUSPEND,
    Progress,
)
from slurm_provider.slurm.command import Outcome, SlurmUnavailable
from slurm_provider.slurm.scancel import SignalBatchScript
from slurm_provider.tracker.operations import pause
from slurm_provider.ucloud.jobs import Job
from tests.support.jobs import job
from tests.unit.builders import CONFIG, config_file

MACHINES = """
virtual_machines = true
suspend = "requeue-hold"

[virtual_machines]
overhead_mib = 100

[[virtual_machines.images]]
name = "small-machine"
disk = "/images/it's a disk.qcow2"

[[virtual_machines.images]]
name = "with a kernel"
disk = "/images/root.raw"
format = "raw"
kernel = "/images/vmlinuz"
initrd = "/images/initrd.gz"
append = "root=/dev/vda $HOME"
"""


@pytest.fixture
def config(tmp_path: Path) -> FacadeConfig:
    return load_facade(config_file(tmp_path, CONFIG + MACHINES))


def machine(image: str = "small-machine", **changes: Any) -> Job:
    made = job("", app="small-machine", **{"timeAllocation": None, "parameters": {}, **changes})
    made["status"]["resolvedApplication"]["invocation"]["tool"]["tool"]["description"]["image"] = image
    return Job.model_validate(made)


def test_a_machine_gets_its_products_memory_and_slurm_is_asked_for_some_more(config: FacadeConfig) -> None:
    planned = plan(machine(), config)
    request = planned.submit_request(local_user="alice", account="users", tag="t", job_folder="/{job}")
    assert request.memory_mib_per_node == 1536 + 100
    assert "memory_mib='1536'" in planned.body.script
    assert "cores='4'" in planned.body.script


def test_the_sites_files_are_looked_at_before_submission(config: FacadeConfig) -> None:
    files = [path.path for path in plan(machine("with a kernel"), config).body.values.confined_paths]
    assert files == ["/images/root.raw", "/images/vmlinuz", "/images/initrd.gz"]


def test_the_sites_files_may_be_links_to_elsewhere(config: FacadeConfig) -> None:
    for file in plan(machine("with a kernel"), config).body.values.confined_paths:
        assert file.root == "/"


def test_bash_reads_the_sites_words_as_they_stand(config: FacadeConfig) -> None:
    for image, disk, boot in (
        ("small-machine", "/images/it's a disk.qcow2", []),
        (
            "with a kernel",
            "/images/root.raw",
            ["-kernel", "/images/vmlinuz", "-initrd", "/images/initrd.gz", "-append", "root=/dev/vda $HOME"],
        ),
    ):
        head, _, _ = plan(machine(image), config).body.script.partition("say()")
        script = f'{head}\nprintf "%s\\n" "$image" "${{accelerators[*]}}" "${{boot[@]}}"'
        words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        assert words.splitlines() == [disk, "-accel kvm -accel tcg", *boot]


def test_the_whole_script_is_bash(config: FacadeConfig) -> None:
    subprocess.run(["bash", "-n"], input=plan(machine(), config).body.script, text=True, check=True)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (machine("other"), "the virtual machine image 'other' is not available on this provider"),
        (machine(replicas=2), "a virtual machine runs on one node only"),
        (
            machine(resources=[{"type": "file", "path": "/4012/x"}]),
            "a virtual machine cannot have a resource of type 'file'",
        ),
        (
            machine(parameters={"in": {"type": "file", "path": "/4012/x"}}),
            "a virtual machine cannot be given a file: in",
        ),
        (machine(openedFile="/4012/x"), "a virtual machine cannot be given a file: openedFile"),
        (
            Job.model_validate(job("true")),
            "the machine type 'example-compute-1' runs virtual machines only",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(config: FacadeConfig, made: Job, expected: str) -> None:
    with pytest.raises(LaunchError, match=expected):
        plan(made, config)


def test_a_product_without_virtual_machines_runs_none(tmp_path: Path) -> None:
    config = load_facade(config_file(tmp_path))
    with pytest.raises(LaunchError, match="the machine type 'example-compute-1' runs no virtual machines"):
        plan(machine(), config)


def test_a_product_for_machines_needs_memory(tmp_path: Path) -> None:
    text = (CONFIG + MACHINES).replace("memory_gib = 1.5\n", "")
    with pytest.raises(ConfigError, match="a product for virtual machines needs memory_gib"):
        load_facade(config_file(tmp_path, text))


@pytest.mark.parametrize(
    ("virtual_machines", "suspend", "expected"),
    [
        (False, "suspend", PROGRESS_SUSPEND),
        (False, "requeue-hold", PROGRESS_REQUEUE_HOLD),
        (True, "suspend", PROGRESS_SUSPEND),
        (True, "requeue-hold", PROGRESS_SAVE_HOLD),
    ],
)
def test_a_machine_that_gives_its_node_back_is_saved_first(
    tmp_path: Path, virtual_machines: bool, suspend: str, expected: Progress.ValueType
) -> None:
    settings = f"virtual_machines = {json.dumps(virtual_machines)}\nsuspend = {json.dumps(suspend)}\n"
    config = load_facade(config_file(tmp_path, CONFIG + settings))
    assert pause(config.products[0]) == expected


def test_a_machine_may_be_started_again_as_after_a_power_failure(tmp_path: Path) -> None:
    config = load_facade(config_file(tmp_path, CONFIG + MACHINES.replace('suspend = "requeue-hold"', "")))
    request = plan(machine(), config).submit_request(
        local_user="alice", account="users", tag="t", job_folder="/{job}"
    )
    assert request.requeue


def test_only_the_batch_script_is_signalled() -> None:
    command = SignalBatchScript(12, "USR1")
    assert command.argv() == ["scancel", "--signal=USR1", "--batch", "12"]
    command.parse(Outcome(0, "", ""))
    with pytest.raises(SlurmUnavailable, match="Invalid job id"):
        command.parse(Outcome(1, "", "scancel: error: Kill job error on job id 12: Invalid job id specified"))
