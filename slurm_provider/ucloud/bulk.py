"""Bulk requests and responses, and the error body."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

Item = TypeVar("Item")


def absent_if_empty(value: Any) -> Any:
    """Take `""` for an absent value, as today's Core writes it."""
    return None if value == "" else value


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the text is not Unicode") from error
    return text


Text = Annotated[str, AfterValidator(_unicode)]
"""Text that can be kept and sent on: JSON may also name half of a character."""
OptionalText = Annotated[Text | None, BeforeValidator(absent_if_empty)]


class Received(BaseModel):
    """JSON that Core sends: unknown fields are ignored, and `null` is the same as absent."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner for name, inner in value.items() if inner is not None}
        return value


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
