"""Users being connected to the provider, and the resources that it does not have."""

from urllib.parse import quote

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from slurm_provider.facade.auth import documented
from slurm_provider.facade.errors import Refused
from slurm_provider.facade.services import TheServices
from slurm_provider.ucloud.bulk import BulkResponse, Empty, Received, Text

router = APIRouter(dependencies=[Depends(documented)])

RESOURCES = ("files/collections", "networkips", "licenses", "private-networks")


class Manifest(BaseModel):
    """How users are connected. With `enabled` false Core takes every user for connected."""

    enabled: bool = False
    expireAfterMs: int | None = None  # noqa: N815 - UCloud's own spelling
    requiresMessageSigning: bool = False  # noqa: N815 - UCloud's own spelling


class UserToPrepare(Received):
    """The UCloud user whose call was answered with 449 or 503."""

    username: Text = ""


class UserToConnect(Received):
    """The UCloud user who connects to the provider, or leaves it."""

    username: Text = ""


class Redirect(BaseModel):
    """Where the user's browser goes next."""

    redirectTo: str  # noqa: N815 - UCloud's own spelling


@router.get("/integration/retrieveManifest", tags=["integration"])
async def retrieve_manifest(services: TheServices) -> Manifest:
    """Say whether users must connect: only where the site has a page for it, else it maps them itself."""
    return Manifest(enabled=services.config.connect is not None)


@router.post("/integration/init", tags=["integration"])
async def init(_request: UserToPrepare) -> Empty:
    """Prepare a user's calls: nothing needs to be prepared."""
    return Empty()


@router.post("/integration/connect", tags=["integration"])
async def connect(request: UserToConnect, services: TheServices) -> Redirect:
    """Say where a user is mapped to a local user, if the site has such a page."""
    page = services.config.connect
    if page is None:
        raise Refused(400, "users are connected to this cluster by its administrators; please write to them")
    return Redirect(redirectTo=page.url.format(username=quote(request.username, safe="")))


@router.post("/integration/unlinked", tags=["integration"])
async def unlinked(_request: UserToConnect) -> Empty:
    """Take note that a user has left: the mapping is the administrators', and stays until they remove it."""
    return Empty()


class ProviderKeys(Received):
    """What an approved provider would be told of itself."""


@router.post("/integration/welcome", tags=["integration"])
async def welcome(_request: ProviderKeys) -> Empty:
    """Refuse new keys: whoever could replace Core's public key could be Core.

    The seeds' Core makes this call without a token, since the provider cannot check one before it has
    the key. This provider does not start without the key, so the call can only come too late, or from
    somebody else; without Core's token it is a 401, as any other.
    """
    raise Refused(
        400,
        "this provider has its keys already; an administrator puts new ones into the files that"
        " [core] public_key_file and refresh_token_file name",
    )


async def no_products() -> BulkResponse[Empty]:
    """Say that the provider has no products of this type."""
    return BulkResponse(responses=[])


for resource in RESOURCES:
    router.add_api_route(f"/{resource}/retrieveProducts", no_products, methods=["GET"], tags=[resource])
