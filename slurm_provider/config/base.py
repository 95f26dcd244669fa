"""What the sections of the configuration file are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    if not path.strip("/"):
        raise ValueError("must be a folder below /")
    return path.rstrip("/")


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class Section(BaseModel):
    """A section in which an unknown key is an error, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
