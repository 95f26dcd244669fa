"""Finding a job in Slurm by its tag, when its id is not known or not to be trusted."""

from dataclasses import dataclass

from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.identity import adoptable


@dataclass(frozen=True)
class Found:
    """A job that Slurm has, or had: its id, when its first known attempt was submitted, and its folder.

    The folder is only known of jobs that are still in the queue.
    """

    slurm_id: int
    submit_time: int
    folder: str


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
