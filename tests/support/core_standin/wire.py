"""Words and small rules of UCloud's wire that the rest of the stand-in shares."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

JsonObject = dict[str, Any]

FINAL_STATES = frozenset({"SUCCESS", "FAILURE", "EXPIRED"})
STATES = frozenset({"IN_QUEUE", "RUNNING", "CANCELING", "SUSPENDED"}) | FINAL_STATES


class Era(StrEnum):
    """Which of the two Cores is played: the one of the seed documents, or the one of today."""

    SEEDS = "seeds"
    TODAY = "today"


class CoreError(Exception):
    """A refusal, as Core words it: an HTTP status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why

    def body(self, era: Era) -> JsonObject:
        """The error body of the era."""
        if era is Era.SEEDS:
            return {"why": self.why, "errorCode": None}
        return {"statusCode": self.status, "why": self.why, "errorCode": "", "detailedCode": 0}


def now_ms() -> int:
    """The time in Unix milliseconds, the unit of every timestamp on this wire."""
    return time.time_ns() // 1_000_000


def items_of(body: Any) -> list[JsonObject]:
    """The items of a BulkRequest; 400 when it is none."""
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise CoreError(400, "Bad request: expected an object with a list of objects named 'items'")
    return items


def text(holder: JsonObject, key: str) -> str:
    """A string that must be there; 400 when it is not."""
    value = holder.get(key)
    if not isinstance(value, str) or not value:
        raise CoreError(400, f"Bad request: '{key}' must be a non-empty string, not {value!r}")
    return value


def integer(holder: JsonObject, key: str, default: int | None = None) -> int:
    """An integer (a JSON number without a fraction); 400 for anything else."""
    value = holder.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CoreError(400, f"Bad request: '{key}' must be an integer, not {value!r}")
    return value


def owner_key(owner: JsonObject) -> str:
    """Who pays for a resource: its project, else the user who made it."""
    return f"project:{owner['project']}" if owner.get("project") else f"user:{owner.get('createdBy')}"


def page(items: Sequence[JsonObject], items_per_page: int, start: int) -> JsonObject:
    """A PageV2: `next` is the offset of the following page, null on the last."""
    end = start + items_per_page
    return {
        "itemsPerPage": items_per_page,
        "items": list(items[start:end]),
        "next": str(end) if end < len(items) else None,
    }
