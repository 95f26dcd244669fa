"""The sections on what applications find on the cluster: modules, software, licences, options of sbatch."""

from typing import Annotated

from pydantic import AfterValidator, Field

from slurm_provider.config.base import AbsolutePath, Section
from slurm_provider.directives import DEFAULT_ALLOWED, refusal

ApplicationVersion = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
"""An installed application, as `name@version`."""


def _may_be_allowed(name: str) -> str:
    if why := refusal(name):
        raise ValueError(why)
    return name


class Modules(Section):
    """Lmod or Environment Modules on the nodes."""

    init: AbsolutePath | None = None
    """The file that defines `module` for bash; by default the usual places are tried."""


class System(Section):
    """What every application template can ask for: bash as it is, and the words that start parallel tasks."""

    load: str = ""
    unload: str = ""
    srun: str = "srun"
    scripts: AbsolutePath | None = None
    """A folder on the façade's host: templates may insert what the programs in it answer."""


class InstalledApplication(Section):
    """Bash that makes an installed application usable, and its undoing."""

    load: str
    unload: str = ""


class License(Section):
    """A licence server: a program is given `address:port/key`, without what is left out here."""

    address: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    key: str | None = None

    @property
    def text(self) -> str:
        """What a program is given."""
        port = f":{self.port}" if self.port else ""
        return f"{self.address}{port}" + (f"/{self.key}" if self.key else "")


class Sbatch(Section):
    """Options of sbatch that an application may set for its jobs."""

    allow: tuple[Annotated[str, AfterValidator(_may_be_allowed)], ...] = DEFAULT_ALLOWED
