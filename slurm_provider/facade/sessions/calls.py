"""How users are let in to what runs in their jobs: an identifier or a link, good for one rank of one job."""

from fastapi import APIRouter, Depends

from slurm_provider.config import FacadeConfig
from slurm_provider.facade.auth import ActingUser, documented
from slurm_provider.facade.errors import Refused
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.facade.sessions.places import port_of, replica_of, web_origin
from slurm_provider.facade.sessions.replicas import MACHINE_PASSWORD_FILE, is_machine, replica_of_job
from slurm_provider.jobmap import JobMap, JobRow, Session, SessionKind, TooManySessions, UnmappedError
from slurm_provider.jobmap.sessions import new_secret
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path
from slurm_provider.rpc.errors import ClusterUnavailable
from slurm_provider.rpc.tunnels import TunnelRefused
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse
from slurm_provider.ucloud.sessions import (
    FolderRequest,
    OpenSession,
    SessionRequest,
    SessionType,
    ShellSession,
    VncSession,
    WebSession,
)

router = APIRouter(prefix="/jobs", tags=["sessions"], dependencies=[Depends(documented)])


@router.post("/interactiveSession")
async def interactive_session(
    request: BulkRequest[SessionRequest], services: TheServices, user: ActingUser
) -> BulkResponse[OpenSession]:
    """Open sessions with running jobs."""
    return BulkResponse(responses=[await _open(item, services, user) for item in request.items])


async def _open(item: SessionRequest, services: Services, user: str | None) -> OpenSession:
    match item.sessionType:
        case SessionType.SHELL:
            return await _open_shell(item, services, user)
        case SessionType.WEB:
            return await _open_web(item, services, user)
        case SessionType.VNC:
            return await _open_vnc(item, services, user)


async def _open_shell(item: SessionRequest, services: Services, user: str | None) -> ShellSession:
    row = await replica_of(item, services)
    secret = await _open_with_job(SessionKind.SHELL, item, row, user, services)
    return ShellSession(
        jobId=row.job_id,
        rank=item.rank,
        sessionIdentifier=secret,
        domainOverride=services.config.facade.websocket_url,
    )


async def _open_web(item: SessionRequest, services: Services, user: str | None) -> WebSession:
    row = await replica_of(item, services)
    origin = web_origin(row, item.rank, item.target, services)
    secret = await _open_with_job(SessionKind.WEB, item, row, user, services)
    link = f"{origin}/ucloud/{services.config.provider.id}/authorize-app?token={secret}"
    return WebSession(jobId=row.job_id, rank=item.rank, redirectClientTo=link)


async def _open_vnc(item: SessionRequest, services: Services, user: str | None) -> VncSession:
    row = await replica_of(item, services)
    secret = await _open_with_job(SessionKind.VNC, item, row, user, services)
    path = f"/ucloud/{services.config.provider.id}/vnc?token={secret}"
    return VncSession(
        jobId=row.job_id,
        rank=item.rank,
        url=f"{services.config.facade.public_url or ''}{path}",
        password=await _vnc_password(item, row, services),
    )


async def _vnc_password(item: SessionRequest, row: JobRow, services: Services) -> str | None:
    if is_machine(row, services.config):
        return await _machine_password(row, item.rank, services)
    application = item.job.status.resolvedApplication if item.job.status else None
    vnc = application.invocation.vnc if application and application.invocation else None
    return vnc.password if vnc else None


async def _machine_password(row: JobRow, rank: int, services: Services) -> str:
    """Return the password that a virtual machine's screen was given when it started."""
    try:
        replica = replica_of_job(row, rank)
        password = await services.clusters[row.cluster].tunnels.read(replica, MACHINE_PASSWORD_FILE)
    except (ClusterUnavailable, TunnelRefused) as error:
        raise Refused(400, f"the machine's screen cannot be reached just now: {error}") from error
    if not password.strip():
        raise Refused(400, "the machine's screen is not there yet; try again in a moment")
    return password.strip()


async def _open_with_job(
    kind: SessionKind, item: SessionRequest, row: JobRow, user: str | None, services: Services
) -> str:
    """Note a session with a rank of a job; return its secret."""
    port = None if kind is SessionKind.SHELL else await port_of(item, services)
    secret = new_secret()
    session = Session(
        kind,
        user or row.ucloud_user,
        row.cluster,
        row.local_user,
        row.job_id,
        item.rank,
        expires_at=_open_until(services),
        target=item.target,
        port=port,
    )
    await _note(secret, session, services)
    return secret


@router.post("/openTerminalInFolder")
async def open_terminal_in_folder(
    request: BulkRequest[FolderRequest], services: TheServices, user: ActingUser
) -> BulkResponse[ShellSession]:
    """Open terminals in folders, on the login node, as the local user of whoever asks."""
    return BulkResponse(responses=[await _open_folder(item, services, user) for item in request.items])


async def _open_folder(item: FolderRequest, services: Services, user: str | None) -> ShellSession:
    if user is None:
        raise Refused(400, "the call does not say for which user the terminal is to be opened")
    try:
        root = local_path(item.folder, services.config.drives).root
        local_user, _ = await services.jobmap.call(JobMap.local_identity, user, None)
    except (LaunchError, UnmappedError) as error:
        raise Refused(400, str(error)) from error
    secret = new_secret()
    session = Session(
        SessionKind.FOLDER,
        user,
        _cluster_with(root, services.config),
        local_user,
        job_id=None,
        rank=0,
        expires_at=_open_until(services),
        folder=item.folder,
    )
    await _note(secret, session, services)
    return ShellSession(
        jobId=item.folder,
        rank=0,
        sessionIdentifier=secret,
        domainOverride=services.config.facade.websocket_url,
    )


def _cluster_with(root: str, config: FacadeConfig) -> str:
    """Return the cluster on whose login node a drive's folder is."""
    drive = next(drive for drive in config.drives if drive.path == root)
    return drive.cluster or next(iter(config.clusters))


async def _note(secret: str, session: Session, services: Services) -> None:
    most = services.config.sessions.per_user
    try:
        await services.jobmap.call(lambda jobmap: jobmap.sessions.open(secret, session, most))
    except TooManySessions as error:
        raise Refused(
            400, f"there are {most} open sessions of '{session.ucloud_user}' already; close one of them first"
        ) from error


def _open_until(services: Services) -> int:
    return int(services.clock() + services.config.sessions.open_within_seconds)
