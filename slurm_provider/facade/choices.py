"""What the provider adds to every application's job form."""

from fastapi import APIRouter, Depends

from slurm_provider.facade.auth import documented
from slurm_provider.facade.services import TheServices
from slurm_provider.jobmap import JobMap, UnmappedError
from slurm_provider.ucloud.choices import DynamicParameters, DynamicParametersRequest

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(documented)])


@router.post("/requestDynamicParameters")
async def request_dynamic_parameters(
    request: DynamicParametersRequest, services: TheServices
) -> DynamicParameters:
    """Offer a user the choices that the site leaves; none to one who has no account on the cluster."""
    owner = request.owner
    if owner is None or not owner.createdBy:
        return DynamicParameters(parameters=[])
    try:
        user, account = await services.jobmap.call(JobMap.local_identity, owner.createdBy, owner.project)
    except UnmappedError:
        return DynamicParameters(parameters=[])
    limits = [await cache.last_known() for cache in services.tracker.limits.values()]
    identities = [(user, account, owner.project is not None, known) for known in limits]
    return DynamicParameters(parameters=await services.intake.choices.offered(identities))
