"""What the calls work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from slurm_provider.config import FacadeConfig
from slurm_provider.facade.auth import CoreToken
from slurm_provider.facade.logs.hubs import Hubs
from slurm_provider.facade.newcomers import Newcomers
from slurm_provider.facade.sessions.kept import KeptTerminals
from slurm_provider.facade.sessions.living import LivingSessions
from slurm_provider.jobmap import Door
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.tracker.adoption import Adoption
from slurm_provider.tracker.intake import Intake
from slurm_provider.tracker.operations import Operations
from slurm_provider.tracker.ssh_access import SshAccess
from slurm_provider.tracker.tracker import Tracker
from slurm_provider.tracker.utilization import UtilizationCache


@dataclass(frozen=True)
class Services:
    """The parts of a running façade."""

    config: FacadeConfig
    core_token: CoreToken
    jobmap: Door
    clusters: dict[str, Cluster]
    tracker: Tracker
    intake: Intake
    adoption: Adoption
    operations: Operations
    ssh: SshAccess
    utilization: dict[str, UtilizationCache]
    living: LivingSessions
    hubs: Hubs
    kept: KeptTerminals
    clock: Callable[[], float]
    """Gives the epoch second."""
    newcomers: Newcomers = field(default_factory=Newcomers)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


TheServices = Annotated[Services, Depends(_services)]
