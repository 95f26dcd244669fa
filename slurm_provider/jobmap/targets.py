"""The interfaces that jobs have beside their application's own."""

from collections.abc import Sequence
from dataclasses import asdict

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.rows import Target


class Targets:
    """The table of targets."""

    def __init__(self, file: SqliteFile) -> None:
        self._db = file.db

    def replace(self, job_id: str, targets: Sequence[Target]) -> None:
        """Write a job's targets in place of those that it had, within the transaction of its change."""
        self._db.execute("DELETE FROM targets WHERE job_id = ?", [job_id])
        for target in targets:
            self._db.table("targets").upsert(
                {"job_id": job_id, **asdict(target)}, pk=("job_id", "rank", "type", "target")
            )

    def of(self, job_id: str) -> list[Target]:
        """Return the targets of a job."""
        rows = self._db.query(
            "SELECT rank, type, target, port FROM targets WHERE job_id = ? ORDER BY rank, type, target",
            [job_id],
        )
        return [Target(**row) for row in rows]

    def find(self, job_id: str, rank: int, kind: str, target: str | None) -> Target | None:
        """Return the target of that name at a rank of a job (`kind` is WEB or VNC), or None.

        Without a name it is the one that stands for the application's own interface: None says that
        this has its usual port.
        """
        rows = self._db.query(
            "SELECT rank, type, target, port FROM targets"
            " WHERE job_id = ? AND rank = ? AND type = ? AND target = ?",
            [job_id, rank, kind, (target or "").lower()],
        )
        return next((Target(**row) for row in rows), None)
