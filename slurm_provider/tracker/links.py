"""Which public links a job is given."""

import asyncio
import time
from collections.abc import Callable

import structlog

from slurm_provider.config import FacadeConfig
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobMap, LinkBinding, LinkTaken, LinkUse, PublicLink
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.links import named_links, wished_links
from slurm_provider.tracker.link_domains import LinkRefused, checked_link
from slurm_provider.ucloud.jobs import Job, JobSpecification, ResourceOwner

log = structlog.get_logger()

WAIT_FOR_CORE_SECONDS = 2.0
"""For a link that the job map has lost: Core itself waits for the answer to `create`."""


class JobLinks:
    """Finds the public links that jobs name, at Core where the job map does not have them (any more)."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        core: CoreClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._core = core
        self._clock = clock

    async def wished(self, job: Job) -> list[LinkUse]:
        """Return the links that a new job asks for; raise LaunchError for one that it cannot have now.

        A link of another owner and one that does not exist are refused in the same words.
        """
        application = job.status.resolvedApplication if job.status else None
        uses = wished_links(job.specification or JobSpecification(), application)
        if uses and not self._config.public_links:
            raise LaunchError("the job asks for a public link, which this provider does not have")
        for use in uses:
            binding = await self._find(use.link_id)
            if binding is None or not _is_of(job.owner or ResourceOwner(), binding.link):
                raise LaunchError(f"the public link {use.link_id} cannot be used: it is not one of yours")
        if why := await self._jobmap.call(_objection, job.id, uses):
            raise LaunchError(why)
        return uses

    async def left(self, job: Job) -> list[LinkUse]:
        """Return those links of a job found in Slurm that it can have again; raises nothing."""
        found = []
        try:
            for use in named_links(job.specification or JobSpecification()):
                binding = await self._find(use.link_id)
                why = await self._jobmap.call(_objection, job.id, [use])
                if binding and why is None and _is_of(job.owner or ResourceOwner(), binding.link):
                    found.append(use)
                else:
                    log.warning("public link not given back", job_id=job.id, link_id=use.link_id, reason=why)
        except LaunchError as error:
            log.warning("public links not given back", job_id=job.id, reason=str(error))
        return found

    async def _find(self, link_id: str) -> LinkBinding | None:
        """Return a link, None for one that is not there; raise LaunchError when Core cannot say."""
        binding = await self._jobmap.call(_link, link_id)
        if binding or not self._config.public_links:
            return binding
        try:
            async with asyncio.timeout(WAIT_FOR_CORE_SECONDS):
                item = await self._core.retrieve_link(link_id)
            link = checked_link(item, self._config, self._clock())
            await self._jobmap.call(_add, link)
        except (CoreUnavailable, TimeoutError) as error:
            raise LaunchError(
                f"the public link {link_id} is not known to this provider, and UCloud does not say whose it"
                " is; try again later"
            ) from error
        except (CoreRefused, LinkRefused, LinkTaken) as error:
            log.info("public link not found", link_id=link_id, reason=str(error))
            return None
        return await self._jobmap.call(_link, link_id)


def _is_of(owner: ResourceOwner, link: PublicLink) -> bool:
    """Return whether a link belongs to this owner: to the project of a job, or to a user outside projects."""
    if link.project or owner.project:
        return link.project == owner.project
    return link.ucloud_user == owner.createdBy != ""


def _link(jobmap: JobMap, link_id: str) -> LinkBinding | None:
    return jobmap.links.get(link_id)


def _add(jobmap: JobMap, link: PublicLink) -> None:
    jobmap.links.add([link])


def _objection(jobmap: JobMap, job_id: str, uses: list[LinkUse]) -> str | None:
    return jobmap.links.objection(job_id, uses)
