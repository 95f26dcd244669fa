"""Which domains public links may have, and which links a job may be given."""

import re

from slurm_provider.config import FacadeConfig, PublicLinks, Web
from slurm_provider.jobmap import Door, JobMap, LinkBinding, LinkUse
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.links import wished_links
from slurm_provider.ucloud.jobs import Job, JobSpecification, ResourceOwner

LONGEST_DOMAIN = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# JOB-RANK, perhaps with -TARGET; the text comes without prefix and suffix.
_OF_A_JOB = re.compile(r".+-[0-9]+(-.*)?")


def domain_objection(domain: str, product: PublicLinks, web: Web | None) -> str | None:
    """Return why a public link of this product cannot have a domain (in lower case), in words, or None."""
    shape = f"'{product.prefix}NAME{product.suffix}'"
    if not (
        domain.startswith(product.prefix)
        and domain.endswith(product.suffix)
        and len(domain) > len(product.prefix) + len(product.suffix)
    ):
        return f"the domain '{domain}' must have the form {shape}"
    name = domain[len(product.prefix) : -len(product.suffix)]
    if "." in name:
        return f"the domain '{domain}' must have the form {shape}, and the NAME no dots"
    label = domain.partition(".")[0]
    if not (_LABEL.fullmatch(name) and _LABEL.fullmatch(label)) or len(domain) > LONGEST_DOMAIN:
        return (
            f"the domain '{domain}' cannot be the name of a web site: use the letters a to z, digits, and"
            " hyphens that stand between them, and no more than 63 of them before the first dot"
        )
    if label.startswith("xn--"):
        return f"the domain '{domain}' must not begin with 'xn--', which stands for other letters"
    if web and _is_of_a_job(domain, web):
        return f"the domain '{domain}' looks like a job's own; leave out the hyphen before the number"
    return None


def _is_of_a_job(domain: str, web: Web) -> bool:
    """Return whether the gateway might take a domain for that of a job, whatever jobs there are."""
    if not (domain.startswith(web.prefix) and domain.endswith(web.suffix)):
        return False
    return _OF_A_JOB.fullmatch(domain[len(web.prefix) : -len(web.suffix)]) is not None


async def linked(jobmap: Door, job: Job, config: FacadeConfig) -> list[LinkUse]:
    """Return the public links that a job asks for; raise LaunchError for one that it cannot have now.

    A link of another owner and one that does not exist are refused in the same words.
    """
    application = job.status.resolvedApplication if job.status else None
    uses = wished_links(job.specification or JobSpecification(), application)
    if uses and not config.public_links:
        raise LaunchError("the job asks for a public link, which this provider does not have")
    for use in uses:
        binding = await jobmap.call(_link, use.link_id)
        if binding is None or not _is_of(job.owner or ResourceOwner(), binding):
            raise LaunchError(f"the public link {use.link_id} cannot be used: it is not one of yours")
    if why := await jobmap.call(lambda jobmap: jobmap.links.objection(job.id, uses)):
        raise LaunchError(why)
    return uses


def _link(jobmap: JobMap, link_id: str) -> LinkBinding | None:
    return jobmap.links.get(link_id)


def _is_of(owner: ResourceOwner, binding: LinkBinding) -> bool:
    """Return whether a link belongs to this owner: to the project of a job, or to a user outside projects."""
    link = binding.link
    if link.project or owner.project:
        return link.project == owner.project
    return link.ucloud_user == owner.createdBy != ""
