"""Public links, and jobs that ask for them, as Core sends them; and a site that has them."""

from typing import Any

from tests.unit.running_facade import seed

MORE = """
[web]
listen = "127.0.0.1:0"
suffix = ".example.com"

[[public_links]]
category = "example-ingress"
id = "example-ingress"
prefix = "app-"
suffix = ".example.com"
"""
PRODUCT = {"id": "example-ingress", "category": "example-ingress", "provider": "example"}
DOMAIN = "app-mine.example.com"


def link(link_id: str, domain: str = DOMAIN, **changes: Any) -> dict[str, Any]:
    """A public link as Core sends it."""
    return {
        "id": link_id,
        "owner": {"createdBy": "user", "project": None},
        "createdAt": 1_633_087_693_694,
        "specification": {"domain": domain, "product": PRODUCT},
        "status": {"boundTo": [], "state": "PREPARING", "resolvedSupport": None, "resolvedProduct": None},
        "updates": [],
        "permissions": None,
    } | changes


def web_job(job_id: str, *link_ids: str, project: str | None = None, user: str = "user") -> dict[str, Any]:
    """The seed's job as a web application with public links."""
    made: dict[str, Any] = seed(job_id, resources=[{"type": "ingress", "id": id_} for id_ in link_ids])
    made["status"]["resolvedApplication"]["invocation"]["applicationType"] = "WEB"
    made["owner"] = {"createdBy": user, "project": project}
    return made
