"""Finding a job in Slurm by its tag, when its id is not known or not to be trusted."""

from dataclasses import dataclass, replace
from itertools import chain

from slurm_provider.jobmap import Attempt
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.attempts import attempt_of
from slurm_provider.tracker.identity import Tagger, adoptable


@dataclass(frozen=True)
class Found:
    """A job that Slurm has, or had: its id, when its first known attempt was submitted, and its folder.

    The folder is only known of jobs that are still in the queue. `attempts` are those that have
    ended, of this restart and of those before.
    """

    slurm_id: int
    submit_time: int
    folder: str
    restart: int = 0
    attempts: tuple[Attempt, ...] = ()


async def look_up(cluster: Cluster, *, tag: str, user: str, account: str, since: int) -> Found | None:
    """Return the job with this tag, owner and account; None when Slurm surely has none.

    `since` is the epoch second from which accounting is searched. Raises ClusterUnavailable when
    either of squeue and sacct gave no complete answer: then the job may exist or not.
    """
    live = await cluster.live_jobs(name=tag)
    records = await cluster.accounting(since, name=tag)
    return choose(live, records, tag=tag, user=user, account=account)


def choose(
    live: list[LiveJob], records: list[AccountingRecord], *, tag: str, user: str, account: str
) -> Found | None:
    """Return the earliest job among the rows that may be adopted."""
    rows: list[LiveJob | AccountingRecord] = [
        *adoptable(live, tag=tag, user=user, account=account),
        *adoptable(records, tag=tag, user=user, account=account),
    ]
    first = min(rows, key=lambda row: (row.submit_time, row.slurm_id), default=None)
    if first is None:
        return None
    folder = first.folder if isinstance(first, LiveJob) else ""
    return Found(first.slurm_id, first.submit_time, folder)


def choose_latest(
    live: list[LiveJob],
    records: list[AccountingRecord],
    *,
    tagger: Tagger,
    job_id: str,
    user: str,
    account: str,
) -> Found | None:
    """Return the latest restart of a job among the rows, with all attempts that have ended."""
    named = (tagger.restart_of(row, job_id) for row in chain[LiveJob | AccountingRecord](live, records))
    latest, attempts = None, []
    for restart in sorted({restart for restart in named if restart is not None}):
        tag = tagger.tag(job_id, restart)
        found = choose(live, records, tag=tag, user=user, account=account)
        if found is None:
            continue
        latest = replace(found, restart=restart)
        own = adoptable(records, tag=tag, user=user, account=account)
        attempts += [
            attempt_of(record, job_id, restart)
            for record in own
            if record.slurm_id == found.slurm_id and record.end_time
        ]
    return replace(latest, attempts=tuple(attempts)) if latest else None
