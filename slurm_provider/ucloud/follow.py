"""What Core says over the WebSocket of logs, and what it is answered."""

import json
from typing import Annotated, Literal

from pydantic import Field, RootModel

from slurm_provider.ucloud.bulk import OptionalText, Received, Text


class Frame(Received):
    """One request on a WebSocket: several, told apart by `streamId`, go on at the same time."""

    call: Text
    streamId: Text
    payload: object = None
    bearer: OptionalText = None


class FollowedJob(Received):
    """The job to be followed: nothing but its id is believed, or even read."""

    id: Text


class FollowInit(Received):
    """Follow a job."""

    type: Literal["init"]
    job: FollowedJob


class FollowCancel(Received):
    """End a follow, by the id that its first message announced."""

    type: Literal["cancel"]
    streamId: Text


class FollowRequest(RootModel[Annotated[FollowInit | FollowCancel, Field(discriminator="type")]]):
    """Either of the two."""


def message(stream_id: str, payload: object) -> str:
    """Return a frame after which others follow."""
    return _json({"type": "message", "streamId": stream_id, "payload": payload})


def response(stream_id: str, status: int, payload: object) -> str:
    """Return the last frame of a stream."""
    return _json({"type": "response", "status": status, "streamId": stream_id, "payload": payload})


def output(
    follow_id: str, rank: int, *, stdout: str | None = None, stderr: str | None = None
) -> dict[str, object]:
    """Return what a rank has printed, as a payload."""
    return {"streamId": follow_id, "rank": rank, "stdout": stdout, "stderr": stderr, "channel": None}


def _json(frame: object) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
