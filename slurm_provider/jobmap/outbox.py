"""What Core has yet to be told."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.rows import OutboxItem, OutboxKind
from slurm_provider.ucloud.control import JobUpdate, JobUpdateItem, UsageItem
from slurm_provider.ucloud.ingresses import IngressUpdate, IngressUpdateItem


class Outbox:
    """The outbox table: items leave it when Core has taken them, or has refused them for good."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def post(self, job_id: str, kind: OutboxKind, body: str) -> None:
        """Queue an item, within the transaction of what it tells of."""
        row = {"job_id": job_id, "kind": kind, "body": body, "created_at": self._file.now()}
        self._file.db.table("outbox").insert(row)

    def post_update(self, job_id: str, update: JobUpdate) -> None:
        """Queue an update of a job, likewise."""
        self.post(job_id, OutboxKind.UPDATE, JobUpdateItem(id=job_id, update=update).model_dump_json())

    def post_link_update(self, link_id: str, update: IngressUpdate) -> None:
        """Queue an update of a public link, likewise; it has an order of its own beside the jobs'."""
        body = IngressUpdateItem(id=link_id, update=update).model_dump_json()
        self.post(_of_link(link_id), OutboxKind.LINK, body)

    def forget_link(self, link_id: str) -> None:
        """Drop what Core has not been told of a public link that is deleted, likewise."""
        self._file.db.execute(
            "DELETE FROM outbox WHERE job_id = ? AND delivered_at IS NULL", [_of_link(link_id)]
        )

    def post_usage(self, job_id: str, usage: UsageItem) -> None:
        """Queue the total of a job, likewise, unless the same one waits already."""
        body = usage.model_dump_json()
        waiting = self._file.db.query(
            "SELECT body FROM outbox WHERE job_id = ? AND kind = 'usage'"
            " AND delivered_at IS NULL AND refused_at IS NULL ORDER BY id DESC LIMIT 1",
            [job_id],
        )
        if next(waiting, {}).get("body") != body:
            self.post(job_id, OutboxKind.USAGE, body)

    def undelivered(self, limit: int) -> list[OutboxItem]:
        """Return the oldest items that Core has not taken, in order."""
        rows = self._file.db.query(
            "SELECT id, job_id, kind, body, tries FROM outbox"
            " WHERE delivered_at IS NULL AND refused_at IS NULL ORDER BY id LIMIT ?",
            [limit],
        )
        return [OutboxItem(**{**row, "kind": OutboxKind(row["kind"])}) for row in rows]

    def deliverable(self, kind: OutboxKind, limit: int, without: Collection[str] = ()) -> list[OutboxItem]:
        """Return the oldest items of a kind that may go to Core now, in order.

        An item behind one of the other kind of the same job waits, and so does all that belongs to
        the jobs `without`. The limit holds for this kind alone, so neither kind keeps out the other.
        """
        rows = self._file.db.query(
            """
            WITH others AS (
                SELECT job_id, min(id) AS first FROM outbox
                 WHERE delivered_at IS NULL AND refused_at IS NULL AND kind <> :kind GROUP BY job_id
            )
            SELECT id, outbox.job_id, kind, body, tries FROM outbox LEFT JOIN others USING (job_id)
             WHERE delivered_at IS NULL AND refused_at IS NULL AND kind = :kind
               AND (first IS NULL OR id < first)
               AND outbox.job_id NOT IN (SELECT value FROM json_each(:without))
             ORDER BY id LIMIT :limit
            """,
            {"kind": kind, "limit": limit, "without": json.dumps(list(without))},
        )
        return [OutboxItem(**{**row, "kind": OutboxKind(row["kind"])}) for row in rows]

    def delivered(self, items: Iterable[OutboxItem]) -> None:
        """Note that Core has taken these items; of a job's totals only the last one is kept."""
        items = list(items)
        self._note(items, {"delivered_at": self._file.now(), "last_error": None})
        totals = [item for item in items if item.kind is OutboxKind.USAGE]
        with self._file.writing():
            for item in totals:
                self._file.db.execute(
                    "DELETE FROM outbox WHERE job_id = ? AND kind = 'usage' AND delivered_at IS NOT NULL"
                    " AND id < ?",
                    [item.job_id, item.id],
                )

    def not_delivered(self, items: Iterable[OutboxItem], error: str) -> None:
        """Note why these items have to be tried again."""
        self._note(items, {"last_error": error})

    def refused(self, items: Iterable[OutboxItem], error: str) -> None:
        """Note that Core will never take these items."""
        self._note(items, {"refused_at": self._file.now(), "last_error": error})

    # for people

    def overview(self) -> list[dict[str, Any]]:
        """Return what Core has not taken, in order: what waits, and what it refused for good."""
        return list(
            self._file.db.query(
                "SELECT id, job_id, kind, iif(refused_at IS NULL, 'waiting', 'refused') AS status, tries,"
                " datetime(created_at, 'unixepoch') AS created, last_error, json(body) AS body"
                " FROM outbox WHERE delivered_at IS NULL ORDER BY id"
            )
        )

    def retry(self, ids: Collection[int]) -> list[int]:
        """Let refused items be sent again, as if they were new; return which of them are."""
        return self._change(ids, "refused_at = NULL, tries = 0, last_error = NULL", "refused_at IS NOT NULL")

    def drop(self, ids: Collection[int]) -> list[int]:
        """Let waiting items never be sent; return which of them are dropped."""
        reason = "last_error = 'dropped by an administrator'"
        return self._change(ids, f"refused_at = {self._file.now()}, {reason}", "refused_at IS NULL")

    def _change(self, ids: Collection[int], columns: str, where: str) -> list[int]:
        with self._file.writing():
            rows = self._file.db.query(
                f"UPDATE outbox SET {columns} WHERE delivered_at IS NULL AND {where}"  # noqa: S608
                " AND id IN (SELECT value FROM json_each(?)) RETURNING id",
                [json.dumps(list(ids))],
            )
            return [row["id"] for row in rows]

    def _note(self, items: Iterable[OutboxItem], columns: dict[str, object]) -> None:
        with self._file.writing():
            for item in items:
                self._file.db.table("outbox").update(item.id, {**columns, "tries": item.tries + 1})


def _of_link(link_id: str) -> str:
    """Return what a link's items have in the place of a job's id: no job has such a one."""
    return f"link {link_id}"
