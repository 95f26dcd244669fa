"""What a container runtime is told: shown by running the launcher with one that prints its arguments."""

import csv
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slurm_provider.config import Containers, Runtime
from slurm_provider.launch.images import ContainerImage
from slurm_provider.launch.mounts import Mount
from slurm_provider.launch.runtimes import clean, container
from slurm_provider.launch.surroundings import Wishes
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath

MOUNTS = [
    Mount(ConfinedPath(path="/gpfs/in.csv"), "/work/in.csv", read_only=True),
    Mount(ConfinedPath(path="/gpfs/data"), "/data/x"),
]
ENVIRONMENT = ["UCLOUD_*", "SLURM_*", "PMI*", "OMP_NUM_THREADS", "LANG", "LC_*", "TZ", "TERM"]
GPU_ENVIRONMENT = ["CUDA_VISIBLE_DEVICES", "NVIDIA_*", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"]


def told(
    folder: Path, runtime: str, wishes: Wishes, image: ContainerImage | None = None, **changes: Any
) -> list[str]:
    """Return the arguments of the runtime, with the folder's path and the two scripts left out."""
    program = folder / "printer"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    (folder / "image").mkdir(exist_ok=True)
    image = image or ContainerImage("acme/batch:1", ("/nowhere", f"{folder}/image"))
    containers = Containers(**{"runtime": Runtime(runtime), "command": [str(program)], **changes})
    text = container(image, containers, wishes)
    before = f"set -eu\netc={folder}/etc hosts={folder}/hosts start=begin rank=0\n"
    run = subprocess.run(
        ["sh", "-c", f"{clean(containers)}{before}{text}"],
        capture_output=True,
        cwd=folder,
        check=True,
        env={"PATH": os.environ["PATH"], "SLURMD_NODENAME": "n1", "PWD": str(folder), "start": "wrong"},
    )
    *words, shell, option, script, name, start = run.stdout.decode().split("\0")[:-1]
    assert (shell, option, name, start) == ("/bin/sh", "-c", "start", "begin")
    assert "exec bash" in script
    return [word.replace(str(folder), "HERE") for word in words]


MOUNTS_OF_OURS = [
    "--mount", 'type=bind,"source=HERE/etc","destination=/etc/ucloud",ro',
    "--mount", 'type=bind,"source=HERE/hosts","destination=/etc/hosts",ro',
    "--mount", 'type=bind,"source=HERE","destination=/work"',
]  # fmt: skip
APPTAINER_MOUNTS = ["--mount", "type=bind,source=/tmp,destination=/tmp", *MOUNTS_OF_OURS]
PODMAN_MOUNTS = [word.replace("source=", "src=").replace("destination=", "dst=") for word in MOUNTS_OF_OURS]
PID_FILE = "--pidfile=HERE/.ucloud/container-0"
THEIRS = [
    "--mount", 'type=bind,"source=/gpfs/in.csv","destination=/work/in.csv",ro',
    "--mount", 'type=bind,"source=/gpfs/data","destination=/data/x"',
]  # fmt: skip
APPTAINER = ["exec", "--contain", "--no-home", "--no-eval", "--pwd"]
PODMAN = ["run", "--rm", "--quiet", "--network=host", "--entrypoint="]
PODMAN_ENVIRONMENT = [f"--env={name}" for name in (*ENVIRONMENT, *GPU_ENVIRONMENT)]
GPU = Wishes(gpus=True)
ROOT = Wishes(as_root=True, in_work=False)
TOLD: dict[str, tuple[str, Wishes, dict[str, Any], list[str]]] = {
    "apptainer": (
        "apptainer",
        Wishes(mounts=MOUNTS),
        {},
        [*APPTAINER, "/work", "--writable-tmpfs", *APPTAINER_MOUNTS, *THEIRS, "HERE/image"],
    ),
    "apptainer with GPUs": (
        "apptainer",
        GPU,
        {},
        [*APPTAINER, "/work", "--writable-tmpfs", "--nv", *APPTAINER_MOUNTS, "HERE/image"],
    ),
    "apptainer with AMD's GPUs and options of the site": (
        "apptainer",
        GPU,
        {"gpu_options": ["--rocm"], "options": ["--net", "a b"]},
        [*APPTAINER, "/work", "--net", "a b", "--rocm", *APPTAINER_MOUNTS, "HERE/image"],
    ),
    "singularity as root, where the image says": (
        "singularity",
        ROOT,
        {},
        [*APPTAINER, "/", "--fakeroot", "--writable-tmpfs", *APPTAINER_MOUNTS, "HERE/image"],
    ),
    "podman": (
        "podman",
        GPU,
        {},
        [*PODMAN, "--userns=keep-id", "--workdir=/work", "--init", "--cgroups=disabled",
         "--device=nvidia.com/gpu=all", *PODMAN_ENVIRONMENT, PID_FILE, *PODMAN_MOUNTS, "oci:HERE/image"],
    ),
    "podman as root, where the image says": (
        "podman",
        ROOT,
        {"options": []},
        [*PODMAN, "--user=0:0", *PODMAN_ENVIRONMENT, PID_FILE, *PODMAN_MOUNTS, "oci:HERE/image"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_the_arguments_of_a_runtime(case: str, tmp_path: Path) -> None:
    runtime, wishes, changes, words = TOLD[case]
    assert told(tmp_path, runtime, wishes, **changes) == words


def test_podman_pulls_what_is_in_no_folder(tmp_path: Path) -> None:
    image = ContainerImage("a", ("/nowhere",), "docker.io/library/a")
    words = told(tmp_path, "podman", Wishes(), image)
    assert words[-1] == "docker://docker.io/library/a"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r/"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["apptainer", "podman"]), NAMES, NAMES)
def test_no_file_name_can_add_a_field_or_an_option(
    tmp_path: Path, runtime: str, source: str, target: str
) -> None:
    mount = Mount(ConfinedPath(path=f"/gpfs/{source}"), f"/work/{target}", read_only=True)
    words = told(tmp_path, runtime, Wishes(mounts=[mount]))
    assert len(words) == len(told(tmp_path, runtime, Wishes())) + 2
    [fields] = csv.reader([words[-2]], strict=True)
    names = ("src", "dst") if runtime == "podman" else ("source", "destination")
    assert fields == ["type=bind", f"{names[0]}=/gpfs/{source}", f"{names[1]}=/work/{target}", "ro"]


def test_an_image_that_is_on_no_node_ends_the_job_in_words(tmp_path: Path) -> None:
    containers = Containers(runtime=Runtime.APPTAINER, command=["true"])
    text = container(ContainerImage("a'b", ("/nowhere",)), containers, Wishes())
    run = subprocess.run(
        ["sh", "-c", f"set -eu\nSLURMD_NODENAME=n1\n{text}"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (127, "The container image a'b is not available on the node n1.\n")


def test_a_node_without_the_runtime_ends_the_job_in_words() -> None:
    containers = Containers(runtime=Runtime.PODMAN, command=["/nowhere/podman"])
    text = container(ContainerImage("a", ("/nowhere",)), containers, Wishes())
    run = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (127, "This node lacks podman, which runs container images.\n")


@pytest.mark.parametrize("shell", ["sh", "bash --posix"])
def test_a_function_of_a_profile_stays_outside(shell: str) -> None:
    text = clean(Containers(runtime=Runtime.APPTAINER)) + "exec env"
    environment = {"PATH": os.environ["PATH"], "BASH_FUNC_which%%": "() { :; }"}
    run = subprocess.run(
        [*shell.split(), "-c", text], env=environment, capture_output=True, text=True, check=True
    )
    assert "BASH_FUNC_which" not in run.stdout
    assert run.stderr == ""
