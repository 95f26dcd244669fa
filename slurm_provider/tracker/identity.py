"""Which Slurm job is ours: tags, and the rows that may be believed."""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable
from typing import TypeVar

from slurm_provider.jobmap import Attempt, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob

Row = TypeVar("Row", LiveJob, AccountingRecord)

CLOCKS_DIFFER_SECONDS = 60
"""How far the clocks of Slurm's host and ours may be apart."""


class Tagger:
    """Makes the tag of a job: its name in Slurm, by which it is found when its id is not known.

    The tag is an HMAC under a key derived from the provider's refresh token, so that no user can
    make one, and that losing the job map does not lose the key. Each restart of a job, which is a
    Slurm job of its own, has its own tag.
    """

    def __init__(self, provider_id: str, refresh_token: str) -> None:
        self._provider_id = provider_id
        self._key = hmac.digest(refresh_token.encode(), b"slurm-provider job tags", hashlib.sha256)

    def tag(self, job_id: str, restart: int = 0) -> str:
        """Return `uc-<job id>-<32 hex>`, or `uc-<job id>-r<restart>-<32 hex>` of a later start."""
        number = f"-r{restart}" if restart else ""
        signed = "\0".join([self._provider_id, job_id, *([str(restart)] if restart else [])])
        return f"uc-{job_id}{number}-{hmac.digest(self._key, signed.encode(), hashlib.sha256).hex()[:32]}"

    def restart_of(self, row: LiveJob | AccountingRecord, job_id: str) -> int | None:
        """Return which restart of a job a row's tag names; None for a row without a tag of that job."""
        prefix = f"uc-{job_id}-"
        for word in _words(row):
            if not word.startswith(prefix):
                continue
            match = _RESTART.match(word, len(prefix))
            restart = int(match[1]) if match else 0
            if hmac.compare_digest(word.encode(), self.tag(job_id, restart).encode()):
                return restart
        return None


_RESTART = re.compile(r"r([1-9]\d{0,8})-")


def _words(row: LiveJob | AccountingRecord) -> list[str]:
    """Return the words of a row that may be its tag: an owner can change the name or the comment."""
    return [row.name, *(row.comment.split() if isinstance(row, LiveJob) else ())]


def carries(row: LiveJob | AccountingRecord, tag: str) -> bool:
    """Return whether a row has the tag as its name or in its comment."""
    return tag in _words(row)


def submit_times(job: JobRow, attempts: Iterable[Attempt], live: LiveJob | None = None) -> set[int]:
    """Return the submit times that attempts of the job are known to have."""
    times = {attempt.submit_time for attempt in attempts}
    times |= {job.slurm_submit_time} if job.slurm_submit_time else set()
    return times | ({live.submit_time} if live else set())


def same_job(row: LiveJob | AccountingRecord, job: JobRow, known: Collection[int]) -> bool:
    """Return whether a row is the job that we know under its Slurm id; `known` are its submit times.

    The id alone proves nothing: Slurm uses ids again when it loses jobs. A job whose owner has
    changed name and comment is still itself: by its owner and a submit time that is known, or not
    after the last one known, nor before we submitted it; and by having been put back into the queue
    since, which a job that got a used id has not.
    """
    if row.slurm_id != job.slurm_id or row.user != job.local_user:
        return False
    if carries(row, job.tag):
        return True
    submitted_at = job.submitted_at or 0
    first = submitted_at - CLOCKS_DIFFER_SECONDS
    last = max(known, default=submitted_at + CLOCKS_DIFFER_SECONDS)
    if row.submit_time in known or first <= row.submit_time <= last:
        return True
    return isinstance(row, LiveJob) and row.restarts > 0 and row.submit_time > last


def adoptable(rows: Iterable[Row], *, tag: str, user: str, account: str) -> list[Row]:
    """Return the rows of the earliest job with the right tag, owner and account; a tag alone is no proof."""
    ours = [
        row
        for row in rows
        if carries(row, tag) and row.user == user and account.lower() in ("", row.account.lower())
    ]
    first = min(ours, key=lambda row: (row.submit_time, row.slurm_id), default=None)
    return [row for row in ours if first and row.slurm_id == first.slurm_id]
