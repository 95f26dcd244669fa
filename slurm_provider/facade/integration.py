"""Users being connected to the provider, and the resources that it does not have."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from slurm_provider.facade.auth import documented
from slurm_provider.ucloud.bulk import BulkResponse, Empty, Received

router = APIRouter(dependencies=[Depends(documented)])

RESOURCES = ("files/collections", "ingresses", "networkips", "licenses", "private-networks")


class Manifest(BaseModel):
    """How users are connected. With `enabled` false Core takes every user for connected."""

    enabled: bool = False
    expireAfterMs: int | None = None  # noqa: N815 - UCloud's own spelling
    requiresMessageSigning: bool = False  # noqa: N815 - UCloud's own spelling


class UserToPrepare(Received):
    """The UCloud user whose call was answered with 449 or 503."""

    username: str = ""


@router.get("/integration/retrieveManifest", tags=["integration"])
async def retrieve_manifest() -> Manifest:
    """Say that users need not connect: the site maps them."""
    return Manifest()


@router.post("/integration/init", tags=["integration"])
async def init(_request: UserToPrepare) -> Empty:
    """Prepare a user's calls: nothing needs to be prepared."""
    return Empty()


async def no_products() -> BulkResponse[Empty]:
    """Say that the provider has no products of this type."""
    return BulkResponse(responses=[])


for resource in RESOURCES:
    router.add_api_route(f"/{resource}/retrieveProducts", no_products, methods=["GET"], tags=[resource])
