"""`[choices]`: what a user may choose for any job, beside what the application itself asks for."""

from typing import Annotated

from pydantic import AfterValidator, Field

from slurm_provider.config.base import AbsolutePath, Section

ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_.+/@:=-]*$")]


def _pattern(text: str) -> str:
    try:
        text.format(account="x")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("only {account} is filled in") from error
    return text


AccountPattern = Annotated[str, AfterValidator(_pattern), Field(min_length=1)]
"""A name with `*`, `?` and `[...]`; `{account}` is the account that the job's owner is mapped to."""


class Choices(Section):
    """Choices beside the application's parameters; what is left empty is no choice."""

    accounts: list[AccountPattern] = []
    """Slurm accounts for jobs outside projects. The user must have them by association as well."""
    project_accounts: list[AccountPattern] = []
    """The same for jobs in projects."""
    modules: list[ModuleName] = []
    modules_file: AbsolutePath | None = None
    """What Lmod's `spider -o jsonSoftwarePage` printed; read again when it has changed."""
