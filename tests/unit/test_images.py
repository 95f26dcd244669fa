"""The name of a container image becomes the files that may hold it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.config import Containers, Runtime
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.images import image_files

DIGEST = "0f" * 32
FILES = {
    ("apptainer", "acme/batch:1.0.0"): [
        "/srv/acme_batch_1.0.0.sif",
        "/srv/acme/batch/1.0.0.sif",
        "/srv/acme_batch_1.0.0",
        "/srv/acme/batch/1.0.0",
    ],
    ("singularity", "tool"): ["/srv/tool.sif", "/srv/tool"],
    ("podman", "ghcr.io/a/b:2"): [
        "/srv/ghcr.io_a_b_2",
        "/srv/ghcr.io/a/b/2",
        "/srv/ghcr.io_a_b_2.tar",
        "/srv/ghcr.io/a/b/2.tar",
    ],
    ("charliecloud", "localhost:5000/a:1"): ["/srv/localhost_5000_a_1", "/srv/localhost/5000/a/1"],
    ("charliecloud", f"a@sha256:{DIGEST}"): [f"/srv/a_sha256_{DIGEST}", f"/srv/a/sha256/{DIGEST}"],
}


@pytest.mark.parametrize(("runtime", "name"), FILES)
def test_an_image_lies_under_its_name_in_the_images_folder(runtime: str, name: str) -> None:
    image = image_files(name, Containers(runtime=Runtime(runtime), images="/srv/"))
    assert (list(image.files), image.pull_from) == (FILES[runtime, name], None)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("debian", "docker.io/library/debian"),
        ("acme/batch:1", "docker.io/acme/batch:1"),
        ("ghcr.io/a/b:2", "ghcr.io/a/b:2"),
        ("localhost/a", "localhost/a"),
        ("host:5000/a", "host:5000/a"),
    ],
)
def test_an_image_is_pulled_from_the_registry_that_it_names_or_docker_hub(name: str, address: str) -> None:
    assert image_files(name, Containers(runtime=Runtime.PODMAN, pull=True)).pull_from == address


def test_no_two_images_are_kept_in_one_file() -> None:
    containers = Containers(runtime=Runtime.APPTAINER, pull=True)
    names = ["a/b:1", "a_b:1", "a/b_1", "a_b_1", "a:5/b"]
    files = {image_files(name, containers).cached_in("~/cache").files[-1] for name in names}
    assert len(files) == len(names)
    assert all(file.count("/") == 2 for file in files)


@given(st.text(st.sampled_from("a1./:@-_~ '\"$()\n,\\*;é"), max_size=12) | st.text(max_size=12))
def test_no_name_leads_out_of_the_images_folder_or_looks_like_an_option(name: str) -> None:
    try:
        image = image_files(name, Containers(runtime=Runtime.APPTAINER, images="/srv"))
    except LaunchError:
        return
    for file in image.files:
        assert file.startswith("/srv/")
        below = file.removeprefix("/srv/").split("/")
        assert not {"", ".", ".."} & set(below)
        assert not any(part.startswith("-") for part in below)
        assert not set(file) & set(" '\"$()\n,\\*;:~")
