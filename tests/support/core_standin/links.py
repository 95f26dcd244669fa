"""Core's table of public links (ingresses), and what an update from the provider does to a row."""

import copy
from collections.abc import Iterable

from .jobs import JobBook
from .wire import FINAL_STATES, CoreError, Era, JsonObject, now_ms

_STATES = ("PREPARING", "READY", "UNAVAILABLE")
_UPDATE_KEYS = {"state", "status", "timestamp", "binding"}


class LinkBook:
    """Rows by id, each the Ingress that Core would show; which jobs hold one comes from the jobs."""

    def __init__(self, era: Era, jobs: JobBook) -> None:
        self._era = era
        self._jobs = jobs
        self.rows: dict[str, JsonObject] = {}

    def get(self, link_id: object) -> JsonObject:
        """A copy of the row, with the jobs that it is bound to; 404 in Core's words when there is none."""
        row = self.rows.get(link_id) if isinstance(link_id, str) else None
        if row is None:
            raise CoreError(404, f"Not found or permission denied ({link_id})")
        shown = copy.deepcopy(row)
        shown["status"]["boundTo"] = self._bound_to(row["id"])
        return shown

    def add(self, specification: JsonObject, owner: JsonObject) -> JsonObject:
        """A new row of a checked specification: in the seeds' era the provider has yet to make it ready."""
        seeds = self._era is Era.SEEDS
        row: JsonObject = {
            "id": self._jobs.new_id(),
            "specification": copy.deepcopy(specification) | ({} if seeds else {"labels": None}),
            "owner": owner,
            "createdAt": now_ms(),
            "status": {
                "boundTo": [],
                "state": "PREPARING" if seeds else "READY",
                "resolvedSupport": None,
                "resolvedProduct": None,
            },
            "updates": [],
            "permissions": None if seeds else {"myself": ["READ", "EDIT", "ADMIN"], "others": []},
        }
        self.rows[row["id"]] = row
        return row

    def forget(self, link_ids: Iterable[str]) -> None:
        """Drop rows."""
        for link_id in link_ids:
            self.rows.pop(link_id, None)

    def update(self, items: list[JsonObject]) -> None:
        """Apply a batch of `{id, update}`, all or none; today's Core only looks whether it has the links."""
        rows = [self.rows[self.get(item.get("id"))["id"]] for item in items]
        for item in items:
            _check_update(item.get("update"))
        for row, item in zip(rows, items, strict=True):
            if self._era is Era.SEEDS:
                stamped = item["update"] | {"timestamp": now_ms()}
                row["updates"].append(stamped)
                row["status"]["state"] = stamped.get("state") or row["status"]["state"]

    def _bound_to(self, link_id: str) -> list[str]:
        return [
            job["id"]
            for job in self._jobs.rows.values()
            if job["status"]["state"] not in FINAL_STATES and link_id in links_of(job["specification"])
        ]


def links_of(specification: JsonObject) -> list[str]:
    """The ids of the public links that a job names."""
    values = [*(specification.get("parameters") or {}).values(), *(specification.get("resources") or [])]
    return [str(value.get("id")) for value in values if value and value.get("type") == "ingress"]


def breaches(update: JsonObject) -> list[str]:
    """What is wrong with an update that Core would take all the same."""
    wrong = [f"an update of a link has no key {key!r}" for key in sorted(update.keys() - _UPDATE_KEYS)]
    if update.get("binding"):
        wrong.append("a link is bound by Core itself; a binding of the provider's would count twice")
    return wrong


def _check_update(update: object) -> None:
    if not isinstance(update, dict):
        raise CoreError(400, "Bad request: 'update' must be an object")
    if update.get("state") is not None and update["state"] not in _STATES:
        raise CoreError(400, f"Bad request: unknown state {update['state']!r}")
    timestamp = update.get("timestamp", 0)
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise CoreError(400, f"Bad request: 'update.timestamp' must be an integer, not {timestamp!r}")
