"""What a provider says on the socket of its follows, read as strictly as Core reads it."""

import json
from dataclasses import dataclass
from typing import Any

from .wire import Era, JsonObject
from .world import World

_LOG_KEYS = {"streamId": str, "rank": int, "stdout": str, "stderr": str, "channel": str}


@dataclass(frozen=True)
class LogFrame:
    """A piece of the log of one stream; the last one of it is a response, with a status."""

    stream_id: str
    log: JsonObject
    status: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the provider has ended the stream with it."""
        return self.status is not None

    @property
    def has_text(self) -> bool:
        """Whether there is something to show."""
        return bool(self.log.get("stdout") or self.log.get("stderr"))


def read_frame(world: World, path: str, raw: str | bytes) -> LogFrame | None:
    """Read a frame; None for one that Core reads over, which is noted unless it only keeps a socket alive."""
    body = _decode(raw)
    if body == {"ping": "pong"}:
        return None
    breach = _breach_of(body, world.era)
    if breach is not None:
        world.journal.violation(breach, path, raw[:200] if isinstance(raw, str) else None)
        return None
    assert isinstance(body, dict)
    return LogFrame(body["streamId"], body["payload"], body.get("status"))


def _decode(raw: str | bytes) -> object:
    if isinstance(raw, bytes):
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _breach_of(body: object, era: Era) -> str | None:
    if not isinstance(body, dict):
        return "a frame of a follow is no JSON object in text"
    if body.get("type") not in ("message", "response") or not isinstance(body.get("streamId"), str):
        return "a frame of a follow is neither message nor response of a stream"
    if body["type"] == "response" and not _is_integer(body.get("status")):
        return "a response of a follow has no status"
    if body["type"] == "message" and "status" in body:
        return "a message of a follow has a status"
    return _breach_of_log(body, body.get("payload"), era)


def _breach_of_log(frame: JsonObject, log: Any, era: Era) -> str | None:
    if not isinstance(log, dict):
        return "the payload of a follow is no object"
    if frame["type"] == "response" and not log:
        return None
    for key, value in log.items():
        kind = _LOG_KEYS.get(key)
        if kind is None:
            return f"the log of a job has no key {key!r}"
        if value is not None and not (_is_integer(value) if kind is int else isinstance(value, kind)):
            return f"{key!r} in the log of a job is no {kind.__name__}"
    if not _is_integer(log.get("rank")):
        return "a piece of the log of a job has no rank"
    if era is Era.SEEDS and not isinstance(log.get("streamId"), str):
        return "a piece of the log of a job has no streamId"
    if log["rank"] < 0 and (log.get("stdout") or log.get("stderr")):
        return "a piece of the log of a job is of no rank"
    if any("\ufffd" in (log.get(key) or "") for key in ("stdout", "stderr")):
        return "the log of a job has marks for invalid bytes, which are to be left out"
    return None


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
