"""What a session is with: a rank of a running job, and the domain on which a browser sees it."""

import re
from functools import partial

from slurm_provider.facade.errors import Refused
from slurm_provider.facade.services import Services
from slurm_provider.jobmap import JobMap, JobRow, Target
from slurm_provider.ucloud.jobs import JobState
from slurm_provider.ucloud.sessions import SessionRequest

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


async def replica_of(item: SessionRequest, services: Services) -> JobRow:
    """Return the job that a session is wanted with; raise Refused unless the rank runs now."""
    row = await services.jobmap.call(JobMap.job, item.job.id)
    if row is None:
        raise Refused(400, f"the job '{item.job.id}' is not known to this provider")
    if row.state.is_final or row.wished_state is not None:
        raise Refused(400, "the job has ended; there is nothing left to connect to")
    if row.state is not JobState.RUNNING:
        raise Refused(400, f"the job is not running just now ({row.state}); try again when it is")
    if item.rank >= row.replicas:
        raise Refused(400, f"the job has no rank {item.rank}: its {row.replicas} ranks begin with 0")
    return row


async def port_of(item: SessionRequest, services: Services) -> int | None:
    """Return the port of the window that is asked for, None for the one that the replica itself has.

    Raise Refused for a window that the job's application has not announced.
    """
    find = partial(_target, item.job.id, item.rank, item.sessionType, item.target)
    found = await services.jobmap.call(find)
    if found is None and item.target:
        raise Refused(400, f"the job has no window called '{item.target}' at rank {item.rank}")
    return (found.port or None) if found else None


def _target(job_id: str, rank: int, kind: str, name: str | None, jobmap: JobMap) -> Target | None:
    return jobmap.targets.find(job_id, rank, kind, name)


def web_origin(row: JobRow, rank: int, target: str | None, services: Services) -> str:
    """Return the origin on which a browser sees a rank's web application; raise Refused if it cannot be."""
    web = services.config.web
    if web is None:
        raise Refused(400, "web applications cannot be opened here: the site has not set up [web]")
    domain = web.domain(row.job_id, rank, target)
    if not _LABEL.fullmatch(domain.removesuffix(web.suffix)):
        raise Refused(400, f"the job cannot be shown: '{domain}' cannot be the name of a web site")
    return web.origin(domain)
