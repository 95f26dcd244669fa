"""The messages of a terminal's WebSocket: text frames, one JSON object each."""

from typing import Annotated, Literal

from pydantic import Field

from slurm_provider.ucloud.bulk import OptionalText, Received

_Side = Annotated[int, Field(ge=1, le=1000)]


class Initialize(Received):
    """Opens a terminal; in one that is open, a resize."""

    type: Literal["initialize"]
    sessionIdentifier: OptionalText = None
    cols: _Side = 80
    rows: _Side = 24


class Input(Received):
    """What was typed."""

    type: Literal["input"]
    data: str


class Resize(Received):
    """The window has another size."""

    type: Literal["resize"]
    cols: _Side
    rows: _Side


class ShellRequest(Received):
    """A frame from the browser; each has a stream of its own."""

    streamId: str
    payload: Annotated[Initialize | Input | Resize, Field(discriminator="type")]
