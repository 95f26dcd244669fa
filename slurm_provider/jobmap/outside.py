"""Jobs that were submitted without UCloud, from the intent to register them at Core."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from slurm_provider.jobmap.file import SqliteFile


@dataclass(frozen=True)
class OutsideJob:
    """A job that Core is to know, by the id with which it can be found there."""

    provider_id: str
    cluster: str
    slurm_id: int
    local_user: str
    asked_at: int | None = None
    """When Core was last asked to register it: it may have done so without our hearing of it."""
    job_id: str | None = None
    refused: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether Core has registered it or never will."""
        return self.job_id is not None or self.refused is not None


class OutsideJobs:
    """The table of outside jobs."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def ours(self, cluster: str, slurm_ids: Iterable[int]) -> dict[int, int | None]:
        """Return which of these ids jobs in the map have, each with its last end (None: still open)."""
        rows = self._file.db.query(
            "SELECT slurm_id, CASE WHEN max(ended_at IS NULL) THEN NULL ELSE max(ended_at) END AS ended"
            " FROM jobs WHERE cluster = ? AND slurm_id IN (SELECT value FROM json_each(?)) GROUP BY slurm_id",
            [cluster, json.dumps(list(slurm_ids))],
        )
        return {row["slurm_id"]: row["ended"] for row in rows}

    def of(self, cluster: str, slurm_ids: Iterable[int]) -> list[OutsideJob]:
        """Return what is known of outside jobs with these Slurm ids, oldest first."""
        found: list[OutsideJob] = []
        for slurm_id in slurm_ids:
            rows = self._file.db.query(
                "SELECT * FROM outside_jobs WHERE cluster = ? AND slurm_id = ? ORDER BY rowid",
                [cluster, slurm_id],
            )
            found += [OutsideJob(**row) for row in rows]
        return found

    def begun(self, cluster: str) -> list[OutsideJob]:
        """Return the jobs that Core was asked to register, as long as it is not known whether it did."""
        where = "cluster = ? AND asked_at IS NOT NULL AND job_id IS NULL AND refused IS NULL"
        return [OutsideJob(**row) for row in self._file.db.table("outside_jobs").rows_where(where, [cluster])]

    def keep(self, job: OutsideJob) -> None:
        """Write what is known of a job, in place of what was."""
        with self._file.writing():
            self._file.db.table("outside_jobs").upsert(asdict(job), pk="provider_id")
