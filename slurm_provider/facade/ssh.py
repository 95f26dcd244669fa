"""The SSH keys that users keep in UCloud."""

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.services import TheServices
from slurm_provider.ucloud.bulk import Empty
from slurm_provider.ucloud.ssh import KeyUploaded

router = APIRouter(prefix="/ssh", tags=["ssh"], dependencies=[Depends(documented)])


@router.post("/keyUploaded")
async def key_uploaded(request: KeyUploaded, services: TheServices) -> Empty:
    """Take note of all keys of a user, where the site lets users log in with them; else do nothing."""
    if services.config.ssh.install_keys:
        await services.ssh.keys_changed(request.username, request.allKeys or [])
    return Empty()
