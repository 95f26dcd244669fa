"""The sections on container images and on what runs them."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from slurm_provider.config.base import AbsolutePath, Section


def _image_cache(folder: str) -> str:
    if not folder.startswith(("/", "~/")):
        raise ValueError("must begin with / or ~/")
    return folder.rstrip("/")


Argument = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
ImageCache = Annotated[str, AfterValidator(_image_cache)]


class Runtime(StrEnum):
    """What runs container images on the compute nodes."""

    APPTAINER = "apptainer"
    SINGULARITY = "singularity"
    PODMAN = "podman"
    CHARLIECLOUD = "charliecloud"


class Containers(Section):
    """How container images are run on the nodes of a cluster, and where they lie."""

    runtime: Runtime
    command: list[Argument] = []
    """The program, and options that stand before its subcommand; else the runtime's own name."""
    options: list[Argument] | None = None
    """Instead of the options that the runtime is given by default."""
    gpu_options: list[Argument] | None = None
    """The same for products with GPUs, in addition."""
    images: AbsolutePath | None = None
    """The folder of images, named after the application's image."""
    pull: bool = False
    """Whether images that are not there are fetched from their registry."""
    cache: ImageCache = "~/.cache/ucloud-images"
    """Where Apptainer's pulled images are kept; `~` is the user's home."""

    @model_validator(mode="after")
    def _pulls(self) -> Self:
        if self.pull and self.runtime is Runtime.CHARLIECLOUD:
            raise ValueError("charliecloud runs image folders and pulls none; leave out pull")
        return self


class Image(Section):
    """A container image: the folder of installed software that stands for it, or the file that holds it."""

    name: str = Field(min_length=1)
    software: AbsolutePath | None = None
    """Put on PATH."""
    file: AbsolutePath | None = None
    """What the cluster's container runtime runs, wherever it lies."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.software is None) == (self.file is None):
            raise ValueError("needs either software or file")
        return self
