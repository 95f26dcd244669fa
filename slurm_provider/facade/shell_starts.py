"""Where the terminal of a session is."""

import json

from slurm_provider.facade.services import Services
from slurm_provider.jobmap import JobMap, Session
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path
from slurm_provider.launch.script import CONTROL_FOLDER
from slurm_provider.rpc.v1.shell_pb2 import FolderShell, ReplicaShell, ShellStart


class CannotStart(Exception):
    """There can be no terminal; the text says why."""


async def start_of(session: Session, key: str, services: Services) -> ShellStart:
    """Return what the cluster is told to open a session's terminal; raise CannotStart."""
    if session.cluster not in services.clusters:
        raise CannotStart(f"the cluster '{session.cluster}' is not one of this provider any more")
    start = ShellStart(
        local_user=session.local_user, key=key, keep_seconds=services.config.sessions.reconnect_seconds
    )
    if session.job_id is None:
        start.folder.CopyFrom(_folder(session, services))
    else:
        start.replica.CopyFrom(await _replica(session.job_id, session.rank, services))
    return start


async def _replica(job_id: str, rank: int, services: Services) -> ReplicaShell:
    row = await services.jobmap.call(JobMap.job, job_id)
    if row is None or row.slurm_id is None:
        raise CannotStart("the job is not in Slurm")
    folder = row.folder or json.loads(row.submit_request or "{}").get("folder")
    if not folder:
        raise CannotStart("the job's folder is not known")
    return ReplicaShell(slurm_id=row.slurm_id, rank=rank, folder=folder, control_folder=CONTROL_FOLDER)


def _folder(session: Session, services: Services) -> FolderShell:
    try:
        confined = local_path(session.folder or "", services.config.drives)
    except LaunchError as error:
        raise CannotStart(str(error)) from error
    return FolderShell(path=confined.path, root=confined.root)
