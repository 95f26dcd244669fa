"""Which domains public links may have."""

import re

from slurm_provider.config import FacadeConfig, PublicLinks, Web
from slurm_provider.jobmap import PublicLink
from slurm_provider.ucloud.ingresses import Ingress

LONGEST_DOMAIN = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# JOB-RANK, perhaps with -TARGET; the text comes without prefix and suffix.
_OF_A_JOB = re.compile(r".+-[0-9]+(-.*)?")


class LinkRefused(Exception):
    """Why there can be no such public link, in words for the user."""


def checked_link(item: Ingress, config: FacadeConfig, now: float) -> PublicLink:
    """Return a link as it is kept; raise LinkRefused for a product or domain that it cannot have."""
    wanted = item.specification.product
    product = config.public_link(wanted.category, wanted.id)
    if product is None or wanted.provider not in ("", config.provider.id):
        name = f"{wanted.category}/{wanted.id}"
        raise LinkRefused(f"the provider '{config.provider.id}' has no public links of the type '{name}'")
    domain = item.specification.domain.lower()
    if why := domain_objection(domain, product, config.web):
        raise LinkRefused(why)
    if not item.owner.createdBy:
        raise LinkRefused("the public link names no owner")
    return PublicLink(
        link_id=item.id,
        domain=domain,
        category=product.category,
        product=product.id,
        ucloud_user=item.owner.createdBy,
        project=item.owner.project,
        created_at=item.createdAt // 1000 if item.createdAt else int(now),
    )


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
