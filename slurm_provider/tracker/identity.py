"""Which Slurm job is ours: tags, and the rows that may be believed."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import TypeVar

from slurm_provider.jobmap import Attempt, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob

Row = TypeVar("Row", LiveJob, AccountingRecord)


class Tagger:
    """Makes the tag of a job: its name in Slurm, by which it is found when its id is not known.

    The tag is an HMAC under a key derived from the provider's refresh token, so that no user can
    make one, and that losing the job map does not lose the key.
    """

    def __init__(self, provider_id: str, refresh_token: str) -> None:
        self._provider_id = provider_id
        self._key = hmac.digest(refresh_token.encode(), b"slurm-provider job tags", hashlib.sha256)

    def tag(self, job_id: str) -> str:
        """Return `uc-<job id>-<32 hex>`."""
        message = f"{self._provider_id}\0{job_id}".encode()
        return f"uc-{job_id}-{hmac.digest(self._key, message, hashlib.sha256).hex()[:32]}"


def carries(row: LiveJob | AccountingRecord, tag: str) -> bool:
    """Return whether a row has the tag as its name or in its comment: an owner can change either."""
    return row.name == tag or (isinstance(row, LiveJob) and tag in row.comment.split())


def same_job(row: LiveJob | AccountingRecord, job: JobRow, attempts: Iterable[Attempt]) -> bool:
    """Return whether a row is the job that we know under its Slurm id.

    The id alone proves nothing: Slurm uses ids again when it loses jobs. A renamed job is still
    itself, by its owner and the submit time of an attempt that is known.
    """
    if row.slurm_id != job.slurm_id or row.user != job.local_user:
        return False
    known = {job.slurm_submit_time, *(attempt.submit_time for attempt in attempts)}
    return carries(row, job.tag) or row.submit_time in known


def adoptable(rows: Iterable[Row], *, tag: str, user: str, account: str) -> list[Row]:
    """Return the rows of the earliest job with the right tag, owner and account; a tag alone is no proof."""
    ours = [
        row
        for row in rows
        if carries(row, tag) and row.user == user and account.lower() in ("", row.account.lower())
    ]
    first = min(ours, key=lambda row: (row.submit_time, row.slurm_id), default=None)
    return [row for row in ours if first and row.slurm_id == first.slurm_id]
