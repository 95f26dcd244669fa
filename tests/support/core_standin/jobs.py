"""Core's table of jobs, and what an update from the provider does to a row."""

import re
from collections.abc import Iterable

from .wire import FINAL_STATES, STATES, CoreError, Era, JsonObject, now_ms, owner_key

_EPOCH_2025_MS = 1_735_689_600_000
_UPDATE_TYPES: dict[str, type] = {
    "state": str,
    "status": str,
    "outputFolder": str,
    "expectedState": str,
    "expectedDifferentState": bool,
    "newTimeAllocation": int,
    "allowRestart": bool,
    "newMounts": list,
    "resourceList": list,
}


class JobBook:
    """Rows by id, each the Job that Core would show."""

    def __init__(self, era: Era) -> None:
        self.era = era
        self.rows: dict[str, JsonObject] = {}
        self.next_ids: list[str] = []
        """Ids to give before any other, so that an example can run with its own."""
        self.owners: set[str] = set()
        """Everybody who has ever had a job."""
        self.ended_by_user: set[str] = set()
        self._next_id = now_ms() - _EPOCH_2025_MS

    def new_id(self) -> str:
        """A number that neither this run nor an earlier one has given."""
        if self.next_ids:
            return self.next_ids.pop(0)
        self._next_id += 1
        return str(self._next_id)

    def get(self, job_id: object) -> JsonObject:
        """The row; 404 in Core's words when there is none."""
        row = self.rows.get(job_id) if isinstance(job_id, str) else None
        if row is None:
            raise CoreError(404, f"Not found or permission denied ({job_id})")
        return row

    def add(self, job: JsonObject) -> bool:
        """Keep a new row, its usual fields filled in; False when the id is known, whose row then stays."""
        if job["id"] in self.rows:
            return False
        row = _blank(job["id"]) | job
        row["specification"] = _blank_specification() | (job.get("specification") or {})
        row["status"] = _blank_status() | (job.get("status") or {})
        row["updates"] = list(job.get("updates") or [])
        self.rows[job["id"]] = row
        self.owners.add(owner_key(row["owner"]))
        return True

    def forget(self, job_ids: Iterable[str]) -> None:
        """Drop rows, known or not."""
        for job_id in job_ids:
            self.rows.pop(job_id, None)

    def reopen(self, row: JsonObject) -> None:
        """Make an ended job one that waits, as before its first start."""
        row["status"] |= {"state": "IN_QUEUE", "startedAt": None, "expiresAt": None, "allowRestart": False}
        self.ended_by_user.discard(row["id"])

    def tell_first(self, row: JsonObject) -> None:
        """Put Core's own word before all that the provider says: the documents' jobs begin with it."""
        nothing = dict.fromkeys(_UPDATE_TYPES.keys() - {"resourceList"})
        waiting = {"state": "IN_QUEUE", "status": "Your job is now waiting in the queue!"}
        row["updates"].insert(0, nothing | waiting | {"timestamp": row["createdAt"]})

    def update(self, items: list[JsonObject]) -> list[bool]:
        """Apply a batch of `{id, update}`: all of it is read and found first, so one bad item spoils all.

        Says which were applied; one whose expectation fails, or that would revive an ended job, is not.
        """
        for item in items:
            check_update(item.get("update"))
        rows = [self.get(item.get("id")) for item in items]
        return [self._apply(row, item["update"]) for row, item in zip(rows, items, strict=True)]

    def _apply(self, row: JsonObject, update: JsonObject) -> bool:
        current, state = row["status"]["state"], update.get("state")
        if not _is_expected(current, update):
            return False
        if current in FINAL_STATES and state is not None and state not in FINAL_STATES:
            return False
        stamped = update | {"timestamp": now_ms()}
        row["updates"].append(stamped)
        self._change(row, stamped)
        return True

    def _change(self, row: JsonObject, update: JsonObject) -> None:
        status, state = row["status"], update.get("state")
        if state == "RUNNING" and status["state"] != "RUNNING":
            status["startedAt"] = update["timestamp"]
        status["state"] = state or status["state"]
        if update.get("allowRestart") is not None:
            status["allowRestart"] = update["allowRestart"]
        if update.get("newTimeAllocation") is not None:
            row["specification"]["timeAllocation"] = self._duration(update["newTimeAllocation"])
        if update.get("outputFolder") is not None:
            row["output"] = {"outputFolder": update["outputFolder"]}
        if update.get("resourceList") is not None:
            row["specification"]["resources"] = update["resourceList"]
        if status["startedAt"] is not None:
            status["expiresAt"] = _expiry(row)

    def _duration(self, milliseconds: int) -> JsonObject:
        seconds = milliseconds // 1000
        return {
            "hours": seconds // 3600,
            "minutes": seconds // 60 % 60,
            "seconds": seconds % 60 if self.era is Era.SEEDS else 0,
        }


def check_update(update: object) -> None:
    """Refuse what Core's parser refuses: a wrong type, an unknown state, a timestamp that is no integer."""
    if not isinstance(update, dict):
        raise CoreError(400, "Bad request: 'update' must be an object")
    for key, kind in _UPDATE_TYPES.items():
        value = update.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise CoreError(400, f"Bad request: 'update.{key}' must be {kind.__name__}, not {value!r}")
    for key in ("state", "expectedState"):
        if update.get(key) is not None and update[key] not in STATES:
            raise CoreError(400, f"Bad request: unknown state {update[key]!r}")
    timestamp = update.get("timestamp", 0)
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise CoreError(400, f"Bad request: 'update.timestamp' must be an integer, not {timestamp!r}")


def check_name(name: object) -> None:
    """Refuse a name with characters that Core does not allow in one."""
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"[\w ():_-]*", name)):
        raise CoreError(400, f"Bad request: {name!r} cannot be the name of a job")


def unknown_keys(update: JsonObject) -> list[str]:
    """Keys of an update that Core would read over."""
    return sorted(update.keys() - _UPDATE_TYPES.keys() - {"timestamp"})


def _is_expected(current: str, update: JsonObject) -> bool:
    if update.get("expectedState") is not None:
        return bool(update["expectedState"] == current)
    return not (update.get("expectedDifferentState") and update.get("state") == current)


def _expiry(row: JsonObject) -> int | None:
    application = row["status"].get("resolvedApplication") or {}
    tool = application.get("invocation", {}).get("tool", {}).get("tool", {}).get("description", {})
    duration = row["specification"].get("timeAllocation") or tool.get("defaultTimeAllocation")
    if not duration:
        return None
    seconds = duration["hours"] * 3600 + duration["minutes"] * 60 + duration["seconds"]
    return int(row["status"]["startedAt"] + seconds * 1000)


def _blank(job_id: str) -> JsonObject:
    return {
        "id": job_id,
        "owner": {"createdBy": "user", "project": None},
        "createdAt": now_ms(),
        "output": None,
        "permissions": None,
    }


def _blank_specification() -> JsonObject:
    return {
        "name": None,
        "replicas": 1,
        "allowDuplicateJob": False,
        "parameters": None,
        "resources": None,
        "timeAllocation": None,
        "openedFile": None,
        "restartOnExit": None,
        "sshEnabled": None,
    }


def _blank_status() -> JsonObject:
    return {
        "state": "IN_QUEUE",
        "jobParametersJson": None,
        "startedAt": None,
        "expiresAt": None,
        "resolvedApplication": None,
        "resolvedSupport": None,
        "resolvedProduct": None,
        "allowRestart": False,
    }
