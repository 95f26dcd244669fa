"""The application: put together from a configuration, taken apart again at the end."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from slurm_provider.config import Era, FacadeConfig
from slurm_provider.core import CoreClient
from slurm_provider.facade import (
    attachments,
    choices,
    desktops,
    errors,
    follow,
    health,
    ingresses,
    integration,
    jobs,
    notices,
    products,
    shells,
    ssh,
)
from slurm_provider.facade.auth import CoreToken, OnlyCore, load_public_key
from slurm_provider.facade.gateway import start_gateway
from slurm_provider.facade.logs.hubs import Hubs
from slurm_provider.facade.middleware import BodyLimit, UCloudConventions
from slurm_provider.facade.services import Services
from slurm_provider.facade.sessions import calls as sessions
from slurm_provider.facade.sessions.kept import KeptTerminals
from slurm_provider.facade.sessions.living import LivingSessions
from slurm_provider.jobmap import Door
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.tracker.adoption import Adoption
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.intake import Intake
from slurm_provider.tracker.links import JobLinks
from slurm_provider.tracker.operations import Operations
from slurm_provider.tracker.ssh_access import SshAccess
from slurm_provider.tracker.tracker import Tracker
from slurm_provider.tracker.usage import usage_of
from slurm_provider.tracker.utilization import UtilizationCache
from slurm_provider.ucloud.bulk import ErrorMessage


def create_app(config: FacadeConfig) -> FastAPI:
    """Return the façade. Its lifespan opens the job map and runs the tracker."""

    public_key = load_public_key(config.core.public_key_file.read_text())
    core_token = CoreToken(public_key, config.core.issuer)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _start(config, core_token, stack)
            yield

    app = FastAPI(
        title="slurm-provider",
        description="UCloud's ingoing provider API, on Slurm",
        lifespan=lifespan,
        strict_content_type=False,
        responses={"4XX": {"model": ErrorMessage, "description": "Refused, and why"}},
    )
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit)
    app.add_middleware(OnlyCore, token=core_token)
    app.add_middleware(UCloudConventions)
    errors.install(app)
    app.include_router(health.router)
    rooms = (jobs, products, notices, sessions, attachments, choices, ingresses, integration, ssh)
    for room in (*rooms, shells, desktops):
        app.include_router(room.router, prefix=f"/ucloud/{config.provider.id}")
    app.include_router(follow.router, prefix=f"/ucloud/jobs.provider.{config.provider.id}")
    return app


async def _start(config: FacadeConfig, core_token: CoreToken, stack: AsyncExitStack) -> Services:
    usage = partial(usage_of, config.provider.id) if config.core.era is Era.TODAY else None
    jobmap = await Door.open(config.jobmap.path, time.time, usage)
    stack.push_async_callback(jobmap.close)
    core = await stack.enter_async_context(CoreClient(config.core))
    clusters = {name: Cluster(name, section) for name, section in config.clusters.items()}
    for cluster in clusters.values():
        stack.push_async_callback(cluster.close)
    utilization = {name: UtilizationCache(cluster) for name, cluster in clusters.items()}
    for cache in utilization.values():
        stack.push_async_callback(cache.close)
    tagger = Tagger(config.provider.id, config.core.refresh_token_file.read_text().strip())
    tracker = Tracker(config, jobmap, core, clusters, tagger)
    living = LivingSessions(jobmap, config.sessions.connections_per_session)
    links = JobLinks(config, jobmap, core)
    told = tracker.hurry_and_tell
    services = Services(
        config=config,
        core_token=core_token,
        jobmap=jobmap,
        clusters=clusters,
        tracker=tracker,
        intake=Intake(config, jobmap, tracker.limits, tagger, links),
        adoption=Adoption(config, jobmap, core, clusters, tagger, tracker.limits, links, told),
        operations=Operations(config, jobmap, clusters, tracker.limits),
        ssh=SshAccess(config, jobmap, core, clusters, tracker.delivery.wake),
        utilization=utilization,
        living=living,
        hubs=Hubs(jobmap, clusters),
        kept=KeptTerminals(jobmap, clusters, living, config.sessions.reconnect_seconds),
        clock=time.time,
    )
    stack.push_async_callback(services.living.close)
    stack.push_async_callback(services.hubs.close)
    await services.kept.start(time.time())
    stack.push_async_callback(services.kept.close)
    await tracker.start()
    stack.push_async_callback(tracker.close)
    await services.ssh.start()
    stack.push_async_callback(services.ssh.close)
    await start_gateway(services, stack)
    return services
