"""What the batch script does around srun, run by bash with a runtime that only says what it does."""

import subprocess
from pathlib import Path

from slurm_provider.config import Containers, Runtime
from slurm_provider.launch.around import after_srun, before_srun, pulling
from slurm_provider.launch.images import image_files
from slurm_provider.launch.mounts import MountTable
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.ucloud.values import ParameterValue

FILE = ParameterValue(type="file")

# As Apptainer is called: pull --force FILE ADDRESS.
PULLER = """\
#!/bin/sh
[ -n "$REFUSE" ] && exit 3
echo "$1 $2 $4" >"$3"
"""


def pulled(folder: Path, *, refuse: str = "") -> subprocess.CompletedProcess[str]:
    """Run the part of the batch script that pulls an image into `folder`/cache."""
    program = folder / "apptainer"
    program.write_text(PULLER)
    program.chmod(0o755)
    containers = Containers(
        runtime=Runtime.APPTAINER, command=[str(program)], images=f"{folder}/images", pull=True
    )
    image = image_files("acme/batch:1", containers).cached_in("~/cache")
    script = "\n".join(before_srun(MountTable(), [], pulling(image, containers)))
    return subprocess.run(
        ["bash", "-c", f'{script}\necho "$image"'],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "SLURM_JOB_ID": "7", "REFUSE": refuse},
    )


def test_an_image_is_pulled_once_and_named_when_complete(tmp_path: Path) -> None:
    file = tmp_path / "cache/acme%2Fbatch%3A1.sif"
    assert pulled(tmp_path).stdout == f"{file}\n"
    assert file.read_text() == "pull --force docker://docker.io/acme/batch:1\n"
    assert pulled(tmp_path, refuse="yes").stdout == f"{file}\n"
    assert list(file.parent.iterdir()) == [file]


def test_an_image_of_the_sites_folder_is_not_pulled(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/acme_batch_1.sif").touch()
    assert pulled(tmp_path, refuse="yes").stdout == f"{tmp_path}/images/acme_batch_1.sif\n"


def test_an_image_that_cannot_be_pulled_ends_the_job_in_words(tmp_path: Path) -> None:
    run = pulled(tmp_path, refuse="yes")
    words = "The container image acme/batch:1 could not be pulled.\n"
    assert (run.returncode, run.stderr, (tmp_path / "stderr-0.log").read_text()) == (1, words, words)
    assert not (tmp_path / "cache/acme%2Fbatch%3A1.sif").exists()


def test_mount_points_that_were_written_to_are_kept_and_all_others_removed(tmp_path: Path) -> None:
    names = ["dir", "full dir", "empty", "written", "-v", " blank ", "*"]
    paths = {name: str(tmp_path / "drive" / name) for name in names}
    for name in names:
        source = tmp_path / "drive" / name
        source.mkdir(parents=True) if "dir" in name else source.touch()
    mounts = MountTable()
    for name, path in paths.items():
        assert mounts.place_parameter(FILE, ConfinedPath(path=path)) == f"/work/{name}"
    (tmp_path / "job/.ucloud").mkdir(parents=True)
    script = "\n".join(
        [
            *before_srun(mounts, []),
            'ls -A | sort; echo x >"full dir/x"; echo x >written',
            *after_srun(mounts),
        ]
    )
    run = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path / "job",
        check=True,
        env={"PATH": "/usr/bin:/bin", "UCLOUD_CONTROL": str(tmp_path / "job/.ucloud"), "LC_ALL": "C"},
    )
    assert (run.stdout.splitlines(), run.stderr) == (sorted([".ucloud", *names]), "")
    assert {path.name for path in (tmp_path / "job").iterdir()} == {".ucloud", "full dir", "written"}
