"""Jobs that today's Core seems to have lost: it refused an update of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from slurm_provider.jobmap.file import SqliteFile


@dataclass(frozen=True)
class Suspect:
    """A job that Core may not have: how often it refused an update, and then denied the job."""

    job_id: str
    refusals: int
    confirmations: int


class Suspects:
    """The table of suspects. A condemned one stays, so that it is not suspected again."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def update_refused(self, job_id: str) -> None:
        """Count a refusal of an update of a job in the map."""
        with self._file.writing():
            self._file.db.execute(
                "INSERT INTO suspects (job_id, refusals, confirmations)"
                " SELECT job_id, 1, 0 FROM jobs WHERE job_id = ?"
                " ON CONFLICT (job_id) DO UPDATE SET refusals = refusals + 1 WHERE condemned_at IS NULL",
                [job_id],
            )

    def due(self, before: float, limit: int) -> list[Suspect]:
        """Return those with a refusal that Core was not asked about, if not asked since `before`."""
        rows = self._file.db.query(
            "SELECT job_id, refusals, confirmations FROM suspects WHERE condemned_at IS NULL"
            " AND refusals > confirmations AND coalesce(asked_at, 0) <= ? ORDER BY asked_at LIMIT ?",
            [before, limit],
        )
        return [Suspect(**row) for row in rows]

    def confirmed(self, job_ids: Iterable[str], asked_at: float) -> None:
        """Note that Core says that there are no such jobs, and try their updates again: the next proof."""
        with self._file.writing():
            for job_id in job_ids:
                self._file.db.execute(
                    "UPDATE suspects SET confirmations = confirmations + 1, refusals = confirmations + 1,"
                    " asked_at = ? WHERE job_id = ?",
                    [asked_at, job_id],
                )
                self._try_again(job_id)

    def cleared(self, job_ids: Iterable[str]) -> None:
        """Forget the suspicion against jobs that Core has, and tell it again what it refused."""
        with self._file.writing():
            for job_id in job_ids:
                self._file.db.execute("DELETE FROM suspects WHERE job_id = ?", [job_id])
                self._try_again(job_id)

    def acquitted(self, job_ids: Iterable[str]) -> None:
        """Forget the suspicion against jobs that Core creates; what it refused before is out of date."""
        with self._file.writing():
            for job_id in job_ids:
                self._file.db.execute("DELETE FROM suspects WHERE job_id = ?", [job_id])

    def condemned(self, job_id: str) -> None:
        """Note that a job was given up: what Core refuses of it from now on proves nothing new."""
        with self._file.writing():
            self._file.db.execute(
                "UPDATE suspects SET condemned_at = ? WHERE job_id = ?", [self._file.now(), job_id]
            )

    def _try_again(self, job_id: str) -> None:
        """Tell again what was refused, as words only where Core has taken a later state since."""
        self._file.db.execute(
            """
            UPDATE outbox SET refused_at = NULL, tries = 0, body = CASE WHEN id > (
                SELECT coalesce(max(later.id), 0) FROM outbox AS later
                 WHERE later.job_id = outbox.job_id AND later.kind = 'update'
                   AND later.delivered_at IS NOT NULL
                   AND json_extract(later.body, '$.update.state') IS NOT NULL
            ) THEN body ELSE json_set(body, '$.update.state', NULL, '$.update.allowRestart', NULL) END
             WHERE job_id = ? AND kind = 'update' AND refused_at IS NOT NULL
            """,
            [job_id],
        )
