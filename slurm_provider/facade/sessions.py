"""Sessions with running jobs. This release opens none: the support that it declares says so as well."""

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.errors import Refused
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse
from slurm_provider.ucloud.sessions import (
    FolderRequest,
    OpenSession,
    SessionRequest,
    SessionType,
    ShellSession,
)

router = APIRouter(prefix="/jobs", tags=["sessions"], dependencies=[Depends(documented)])

IN_WORDS = {
    SessionType.WEB: "web interface",
    SessionType.VNC: "remote desktop",
    SessionType.SHELL: "terminal",
}
LOGS = "what a job prints is in the stdout and stderr files of its output folder"


@router.post("/interactiveSession")
async def interactive_session(request: BulkRequest[SessionRequest]) -> BulkResponse[OpenSession]:
    """Open sessions with jobs: refused, whatever is asked for."""
    for item in request.items:
        raise Refused(400, f"this provider cannot open a {IN_WORDS[item.sessionType]} yet; {LOGS}")
    return BulkResponse(responses=[])


@router.post("/openTerminalInFolder")
async def open_terminal_in_folder(request: BulkRequest[FolderRequest]) -> BulkResponse[ShellSession]:
    """Open terminals in folders: refused."""
    for _ in request.items:
        raise Refused(
            400, "this provider cannot open a terminal yet; log in on the cluster to work in its folders"
        )
    return BulkResponse(responses=[])
