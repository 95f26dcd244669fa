"""`[ssh]` and `[connect]`: how people reach the cluster beside UCloud, and how they are connected to it."""

from string import Formatter
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from slurm_provider.config.base import Section


class Ssh(Section):
    """Whether the SSH keys that users keep in UCloud let them log in on the cluster."""

    install_keys: bool = False
    """Off: no user's authorized_keys is touched, and jobs that need SSH are refused."""
    host: str = Field(default="", pattern=r"^[A-Za-z0-9._:-]*$")
    """The login node as users reach it."""
    port: int = Field(default=22, ge=1, le=65535)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.install_keys and not self.host:
            raise ValueError("install_keys needs the host that users log in on")
        return self


def _connect_url(template: str) -> str:
    names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if unknown := sorted(names - {"username"}):
        raise ValueError(f"only {{username}} is filled in, not {{{unknown[0]}}}")
    return template


class Connect(Section):
    """Where a user goes to be mapped to a local user."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_connect_url)]
    """`{username}` is the UCloud user."""
