"""Which SSH keys let a UCloud user log in as which local user, and which jobs wait for that."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slurm_provider.jobmap.file import SqliteFile

STALE_SECONDS = 3600
"""A job that is not in the map so long after it asked for SSH was never taken."""


@dataclass(frozen=True)
class KeyBlock:
    """The keys that one UCloud user is to have in one local user's authorized_keys."""

    ucloud_user: str
    cluster: str
    local_user: str
    keys: Sequence[str]
    installed: bool
    refusal: str | None


class SshKeys:
    """The tables ssh_blocks and ssh_jobs."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._db = file.db

    def want(self, ucloud_user: str, keys: Sequence[str], clusters: Iterable[str]) -> bool:
        """Note the keys that a UCloud user is to have on clusters; return whether the user is mapped."""
        text = json.dumps(sorted(set(keys)))
        with self._file.writing():
            mapping = next(
                self._db.query("SELECT local_user FROM users WHERE ucloud_user = ?", [ucloud_user]), None
            )
            self._drop_unmapped()
            for cluster in clusters if mapping else ():
                self._db.execute(
                    "INSERT INTO ssh_blocks VALUES (?, ?, ?, ?, 0, NULL)"
                    " ON CONFLICT DO UPDATE SET installed = installed AND keys = excluded.keys,"
                    " keys = excluded.keys",
                    [ucloud_user, cluster, mapping["local_user"] if mapping else "", text],
                )
        return mapping is not None

    def drop_unmapped(self) -> None:
        """Note that nobody is to have keys as a local user that they are no longer mapped to."""
        with self._file.writing():
            self._drop_unmapped()

    def _drop_unmapped(self) -> None:
        self._db.execute(
            "UPDATE ssh_blocks SET keys = '[]', installed = 0 WHERE keys <> '[]' AND NOT EXISTS"
            " (SELECT 1 FROM users WHERE users.ucloud_user = ssh_blocks.ucloud_user"
            " AND users.local_user = ssh_blocks.local_user)"
        )

    def drop_all(self) -> None:
        """Note that nobody is to have any keys, and that no job waits for them."""
        with self._file.writing():
            self._db.execute("UPDATE ssh_blocks SET keys = '[]', installed = 0")
            self._db.execute("DELETE FROM ssh_jobs")

    def open_blocks(self) -> list[KeyBlock]:
        """Return the blocks that authorized_keys files do not hold yet."""
        return [_block(row) for row in self._db.query("SELECT * FROM ssh_blocks WHERE NOT installed")]

    def block(self, ucloud_user: str, cluster: str, local_user: str) -> KeyBlock | None:
        """Return one block, or None."""
        where = "ucloud_user = ? AND cluster = ? AND local_user = ?"
        rows = self._db.table("ssh_blocks").rows_where(where, [ucloud_user, cluster, local_user])
        return next((_block(row) for row in rows), None)

    def settle(self, block: KeyBlock, refusal: str | None) -> None:
        """Note that a block is in its file, or why not, unless other keys are wanted by now."""
        key = [block.ucloud_user, block.cluster, block.local_user, json.dumps(list(block.keys))]
        where = "ucloud_user = ? AND cluster = ? AND local_user = ? AND keys = ?"
        with self._file.writing():
            self._db.execute(
                f"UPDATE ssh_blocks SET installed = ?, refusal = ? WHERE {where}",  # noqa: S608
                [refusal is None, refusal, *key],
            )
            self._db.execute("DELETE FROM ssh_blocks WHERE installed AND keys = '[]'")

    def ask(self, job_ids: Iterable[str]) -> None:
        """Note that the users of these jobs wait to be told how to log in."""
        with self._file.writing():
            for job_id in job_ids:
                row = {"job_id": job_id, "asked_at": self._file.now()}
                self._db.table("ssh_jobs").upsert(row, pk="job_id")

    def asking(self) -> list[str]:
        """Return the jobs that ask for SSH, without those that were never taken."""
        with self._file.writing():
            self._db.execute(
                "DELETE FROM ssh_jobs WHERE asked_at < ? AND job_id NOT IN (SELECT job_id FROM jobs)",
                [self._file.now() - STALE_SECONDS],
            )
        return [row["job_id"] for row in self._db.query("SELECT job_id FROM ssh_jobs ORDER BY asked_at")]

    def forget(self, job_id: str) -> None:
        """Note that a job has ended before its user could be told."""
        with self._file.writing():
            self.answered(job_id)

    def answered(self, job_id: str) -> None:
        """Note, within the transaction that tells it, that a job's user has been told."""
        self._db.execute("DELETE FROM ssh_jobs WHERE job_id = ?", [job_id])


def _block(row: dict[str, Any]) -> KeyBlock:
    return KeyBlock(**{**row, "keys": json.loads(row["keys"]), "installed": bool(row["installed"])})
