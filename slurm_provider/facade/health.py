"""Is the program alive, and can it do its work?"""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from slurm_provider.facade.services import TheServices

router = APIRouter(tags=["health"])

TICKS_MISSED = 5


class Health(BaseModel):
    """The program answers."""

    status: str = "ok"


class ClusterReadiness(BaseModel):
    """Whether a cluster answers; `last_answer` is an epoch second, null before the first one."""

    ready: bool
    last_answer: float | None


class Readiness(BaseModel):
    """Whether jobs can be submitted and tracked now. What cannot be now is done later."""

    ready: bool
    clusters: dict[str, ClusterReadiness]


@router.get("/healthz")
async def healthz() -> Health:
    """Answer 200 while the program runs."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(services: TheServices, response: Response) -> Readiness:
    """Answer 200 while every cluster has lately given complete answers, else 503."""
    clusters = {}
    for name in services.clusters:
        age = services.tracker.seconds_since_tick(name)
        ready = age is not None and age < TICKS_MISSED * services.config.tracker.interval_seconds
        clusters[name] = ClusterReadiness(ready=ready, last_answer=services.tracker.last_tick.get(name))
    readiness = Readiness(ready=all(cluster.ready for cluster in clusters.values()), clusters=clusters)
    response.status_code = 200 if readiness.ready else 503
    return readiness
