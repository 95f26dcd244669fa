"""Public links: domains that lead to whichever job holds them, for everybody."""

from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.places import Place, PublicLinks
from slurm_provider.jobmap import Door, JobMap, JobRow, LinkBinding


def public_links(jobmap: Door) -> PublicLinks:
    """Return what gives the place behind a public link, by the job map."""

    async def place_of(domain: str) -> Place | None:
        """Return where a domain leads to, None for one that is no public link; raise Page without a job."""
        return behind(*await jobmap.call(bound, domain))

    return place_of


def behind(binding: LinkBinding | None, row: JobRow | None) -> Place | None:
    """Return where a binding leads to, None where there is none; raise Page without a job."""
    if binding is None:
        return None
    if row is None:
        raise pages.Page(503, "There is nothing here now", "No job has this public link at the moment.")
    if not binding.is_open:
        raise pages.not_ready("the job of this public link is not running")
    return Place(row, binding.rank, binding.port)


def bound(jobmap: JobMap, domain: str) -> tuple[LinkBinding | None, JobRow | None]:
    """Return the public link of a domain, and the job that holds it."""
    binding = jobmap.links.at(domain)
    return binding, jobmap.job(binding.job_id) if binding and binding.job_id else None
