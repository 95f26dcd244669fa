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
    wanted = [await _open(item, services, user) for item in request.items]
    await _note([note for _, note in wanted], services)
    return BulkResponse(responses=[answer for answer, _ in wanted])


Note = tuple[str, Session]
"""A session that is to be, with its secret: those of a call are written together, or none is."""


async def _open(item: SessionRequest, services: Services, user: str | None) -> tuple[OpenSession, Note]:
    match item.sessionType:
        case SessionType.SHELL:
            return await _open_shell(item, services, user)
        case SessionType.WEB:
            return await _open_web(item, services, user)
        case SessionType.VNC:
            return await _open_vnc(item, services, user)


async def _open_shell(item: SessionRequest, services: Services, user: str | None) -> tuple[OpenSession, Note]:
    row = await replica_of(item, services)
    note = await _with_job(SessionKind.SHELL, item, row, user, services)
    answer = ShellSession(
        jobId=row.job_id,
        rank=item.rank,
        sessionIdentifier=note[0],
        domainOverride=services.config.facade.websocket_url,
    )
    return answer, note


async def _open_web(item: SessionRequest, services: Services, user: str | None) -> tuple[OpenSession, Note]:
    row = await replica_of(item, services)
    origin = web_origin(row, item.rank, item.target, services)
    note = await _with_job(SessionKind.WEB, item, row, user, services)
    link = f"{origin}/ucloud/{services.config.provider.id}/authorize-app?token={note[0]}"
    return WebSession(jobId=row.job_id, rank=item.rank, redirectClientTo=link), note


async def _open_vnc(item: SessionRequest, services: Services, user: str | None) -> tuple[OpenSession, Note]:
    row = await replica_of(item, services)
    note = await _with_job(SessionKind.VNC, item, row, user, services)
    path = f"/ucloud/{services.config.provider.id}/vnc?token={note[0]}"
    answer = VncSession(
        jobId=row.job_id,
        rank=item.rank,
        url=f"{services.config.facade.public_url or ''}{path}",
        password=await _vnc_password(item, row, services),
    )
    return answer, note


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


async def _with_job(
    kind: SessionKind, item: SessionRequest, row: JobRow, user: str | None, services: Services
) -> Note:
    """Return a session with a rank of a job, for whoever asks: the owner's would outlive their access."""
    if user is None:
        raise Refused(400, "the call does not say for which user the session is to be opened")
    port = None if kind is SessionKind.SHELL else await port_of(item, services)
    session = Session(
        kind,
        user,
        row.cluster,
        row.local_user,
        row.job_id,
        item.rank,
        expires_at=_open_until(services),
        target=item.target,
        port=port,
    )
    return new_secret(), session


@router.post("/openTerminalInFolder")
async def open_terminal_in_folder(
    request: BulkRequest[FolderRequest], services: TheServices, user: ActingUser
) -> BulkResponse[ShellSession]:
    """Open terminals in folders, on the login node, as the local user of whoever asks."""
    wanted = [await _open_folder(item, services, user) for item in request.items]
    await _note([note for _, note in wanted], services)
    return BulkResponse(responses=[answer for answer, _ in wanted])


async def _open_folder(
    item: FolderRequest, services: Services, user: str | None
) -> tuple[ShellSession, Note]:
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
    answer = ShellSession(
        jobId=item.folder,
        rank=0,
        sessionIdentifier=secret,
        domainOverride=services.config.facade.websocket_url,
    )
    return answer, (secret, session)


def _cluster_with(root: str, config: FacadeConfig) -> str:
    """Return the cluster on whose login node a drive's folder is."""
    drive = next(drive for drive in config.drives if drive.path == root)
    return drive.cluster or next(iter(config.clusters))


async def _note(notes: list[Note], services: Services) -> None:
    most = services.config.sessions.per_user
    try:
        await services.jobmap.call(lambda jobmap: jobmap.sessions.open_all(notes, most))
    except TooManySessions as error:
        user = notes[0][1].ucloud_user
        raise Refused(
            400, f"there are {most} open sessions of '{user}' already; close one of them first"
        ) from error


def _open_until(services: Services) -> int:
    return int(services.clock() + services.config.sessions.open_within_seconds)
