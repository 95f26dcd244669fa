"""What is to be known of a job to show what it prints."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.rows import OUTSIDE
from slurm_provider.ucloud.jobs import JobState


@dataclass(frozen=True)
class JobOutput:
    """Where a job's files are, who reads them, and how far the job is."""

    job_id: str
    cluster: str
    local_user: str
    folder: str | None
    replicas: int
    tag: str
    state: JobState
    has_started: bool

    @property
    def is_outside(self) -> bool:
        """Whether the job was submitted without UCloud: its files are wherever its user wants them."""
        return self.tag.startswith(OUTSIDE)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be written."""
        return self.state.is_final

    @property
    def is_readable(self) -> bool:
        """Whether there can be anything to read: the job has started, or never will."""
        return self.has_started or self.has_ended


class Outputs:
    """A view of the table of jobs."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def of(self, job_ids: Iterable[str]) -> dict[str, JobOutput]:
        """Return what is known of these jobs; those that are not in the map are left out."""
        rows = self._file.db.query(
            "SELECT job_id, cluster, local_user, replicas, tag, state,"
            " coalesce(folder, json_extract(submit_request, '$.folder')) AS folder,"
            " started_at IS NOT NULL OR state NOT IN ('IN_QUEUE') AS has_started"
            " FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(job_ids))],
        )
        return {row["job_id"]: _output(row) for row in rows}


def _output(row: dict[str, object]) -> JobOutput:
    values = row | {"state": JobState(str(row["state"])), "has_started": bool(row["has_started"])}
    return JobOutput(**values)  # type: ignore[arg-type]
