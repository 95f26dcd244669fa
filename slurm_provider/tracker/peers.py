"""Which jobs a job may be connected to: running ones of the same owner."""

from slurm_provider.jobmap import Door, JobMap, JobRow
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.peers import Peer, WishedPeer, wished_peers
from slurm_provider.ucloud.jobs import Job, JobSpecification, JobState, ResourceOwner


async def connected(jobmap: Door, job: Job) -> list[Peer]:
    """Return the peers that a job names; raise LaunchError for one that it may not reach, or not now.

    A job of another owner and one that does not exist are refused in the same words.
    """
    peers = []
    for wish in wished_peers(job.specification or JobSpecification()):
        row = await jobmap.call(JobMap.job, wish.job_id)
        peers.append(_peer(wish, row, job.owner or ResourceOwner()))
    return peers


def _peer(wish: WishedPeer, row: JobRow | None, owner: ResourceOwner) -> Peer:
    if row is None or not _same_owner(row, owner):
        raise LaunchError(f"the job {wish.job_id} cannot be connected to: it is not one of yours")
    if row.state is not JobState.RUNNING or row.slurm_id is None:
        raise LaunchError(f"the job {wish.job_id} cannot be connected to: it is not running")
    return Peer(wish.hostname, wish.job_id, row.cluster, row.slurm_id, row.local_user)


def _same_owner(row: JobRow, owner: ResourceOwner) -> bool:
    """Return whether a job is the user's own or of the same project."""
    return row.ucloud_user == owner.createdBy != "" or row.project == owner.project is not None
