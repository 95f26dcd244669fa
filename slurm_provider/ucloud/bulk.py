"""Bulk requests and responses, and the error body."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

Item = TypeVar("Item")


def absent_if_empty(value: Any) -> Any:
    """Take `""` for an absent value, as today's Core writes it."""
    return None if value == "" else value


OptionalText = Annotated[str | None, BeforeValidator(absent_if_empty)]


class Received(BaseModel):
    """JSON that Core sends: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class BulkRequest(Received, Generic[Item]):
    """Several requests in one call."""

    items: list[Item]


class BulkResponse(BaseModel, Generic[Item]):
    """One response for each item of the request, in its order."""

    responses: list[Item]


class FindByStringId(BaseModel):
    """The id of a resource."""

    id: str


class Empty(BaseModel):
    """UCloud's `Unit`: `{}`."""


class ErrorMessage(BaseModel):
    """UCloud's CommonErrorMessage."""

    why: str
    errorCode: str | None = None
