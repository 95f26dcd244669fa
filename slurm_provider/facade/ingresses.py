"""Public links in UCloud's ingoing API (its resource `ingresses`): made, checked and deleted.

A link is a row of the job map. Which job holds it is decided when a job is created.
"""

import structlog
from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.errors import Refused
from slurm_provider.facade.notices import ResourceInitialization
from slurm_provider.facade.services import Services, TheServices
from slurm_provider.jobmap import JobMap, LinkTaken, PublicLink
from slurm_provider.tracker.link_domains import LinkRefused, checked_link
from slurm_provider.ucloud.bulk import BulkRequest, BulkResponse, Empty, FindByStringId, Received
from slurm_provider.ucloud.ingresses import Ingress, IngressState, IngressSupport, IngressUpdate
from slurm_provider.ucloud.jobs import ProductReference

log = structlog.get_logger()

router = APIRouter(prefix="/ingresses", tags=["public links"], dependencies=[Depends(documented)])

CONFLICT = 409


@router.get("/retrieveProducts")
async def retrieve_products(services: TheServices) -> BulkResponse[IngressSupport]:
    """Say what the domains of each product of public links begin and end with."""
    config = services.config
    return BulkResponse(
        responses=[
            IngressSupport(
                product=ProductReference(
                    id=product.id, category=product.category, provider=config.provider.id
                ),
                domainPrefix=product.prefix,
                domainSuffix=product.suffix,
            )
            for product in config.public_links
        ]
    )


@router.post("")
async def create(request: BulkRequest[Ingress], services: TheServices) -> BulkResponse[FindByStringId | None]:
    """Make public links: all of them, or none. Core is told by updates that they are ready."""
    links = [_checked(item, services) for item in request.items]
    try:
        await services.jobmap.call(lambda jobmap: jobmap.links.add(links))
    except LinkTaken as error:
        raise Refused(CONFLICT, str(error)) from error
    services.tracker.delivery.wake()
    return BulkResponse(responses=[None] * len(links))


def _checked(item: Ingress, services: Services) -> PublicLink:
    try:
        return checked_link(item, services.config, services.clock())
    except LinkRefused as error:
        raise Refused(400, str(error)) from error


@router.delete("")
async def delete(request: BulkRequest[Ingress], services: TheServices) -> BulkResponse[Empty]:
    """Delete public links, all of them or none: not while a job holds one."""
    ids = [item.id for item in request.items]
    try:
        await services.jobmap.call(lambda jobmap: jobmap.links.delete(ids))
    except LinkTaken as error:
        raise Refused(400, str(error)) from error
    return BulkResponse(responses=[Empty() for _ in ids])


@router.post("/verify")
async def verify(request: BulkRequest[Ingress], services: TheServices) -> Empty:
    """Make sure that Core's links are known here; what differs is told by updates.

    An unknown one is made anew, unless another link has its domain or the site no longer offers it.
    """
    for item in request.items:
        try:
            link = _checked(item, services)
            await services.jobmap.call(_restore, link, item.status.state if item.status else None)
        except (Refused, LinkTaken) as error:
            log.warning("public link not available", link_id=item.id, reason=str(error))
            gone = IngressUpdate(
                state=IngressState.UNAVAILABLE, status=f"The public link cannot be used: {error}"
            )
            if item.status is None or item.status.state != IngressState.UNAVAILABLE:
                await services.jobmap.call(_tell, item.id, gone)
    services.tracker.delivery.wake()
    return Empty()


def _restore(jobmap: JobMap, link: PublicLink, state: str | None) -> None:
    if not jobmap.links.add([link]) and state not in (None, IngressState.READY):
        jobmap.links.tell_ready(link.link_id)


def _tell(jobmap: JobMap, link_id: str, update: IngressUpdate) -> None:
    jobmap.links.tell(link_id, update)


class UpdatedAcl(Received):
    """A public link whose permissions have changed."""

    resource: Ingress


@router.post("/updateAcl")
async def update_acl(request: BulkRequest[UpdatedAcl]) -> BulkResponse[Empty]:
    """Take note of changed permissions: they are Core's own, and a link stays its owner's."""
    return BulkResponse(responses=[Empty() for _ in request.items])


@router.post("/onUpdatedLabels")
async def on_updated_labels(_request: BulkRequest[Ingress]) -> Empty:
    """Take note of changed labels: they stay with Core."""
    return Empty()


@router.post("/init")
async def init(_request: ResourceInitialization) -> Empty:
    """Prepare a workspace: nothing needs to be prepared for public links."""
    return Empty()
