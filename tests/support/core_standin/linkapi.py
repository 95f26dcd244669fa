"""The calls of the portal's users about public links."""

import re
from collections.abc import Mapping
from typing import Any

from .permissions import may
from .polling import poll_links
from .provider import ProviderClient
from .wire import CoreError, Era, JsonObject, items_of, page, text
from .world import World

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class LinkApi:
    """The end-user API of `ingresses` for one signed-in user at a time."""

    def __init__(self, world: World, provider: ProviderClient) -> None:
        self._world = world
        self._provider = provider

    async def products(self) -> JsonObject:
        """The provider's products of links and their domains, asked of it now."""
        await poll_links(self._world, self._provider)
        resolved = [
            {"product": self._world.catalogue.product(support["product"]), "support": support}
            for support in self._world.link_support.values()
        ]
        return {"productsByProvider": {self._world.provider_id: resolved}}

    async def create(self, claims: JsonObject, body: Any) -> JsonObject:
        """Make links: all items in one call in the era of the seeds, one a call today."""
        items = items_of(body)
        await poll_links(self._world, self._provider)
        specifications = [self._checked(item) for item in items]
        owner = {"createdBy": claims["sub"], "project": claims.get("project")}
        seeds = self._world.era is Era.SEEDS
        ids: list[str] = []
        for batch in [specifications] if seeds else [[one] for one in specifications]:
            ids += await self._submit(batch, owner)
        return {"responses": [{"id": link_id} for link_id in ids]}

    async def _submit(self, specifications: list[JsonObject], owner: JsonObject) -> list[str]:
        """Send links to the provider; the rows exist before, and are deleted when it refuses."""
        rows = [self._world.links.add(specification, owner) for specification in specifications]
        try:
            reply = await self._provider.user_call("ingresses", {"items": rows}, owner["createdBy"])
        except CoreError:
            self._world.links.forget(row["id"] for row in rows)
            raise
        for row, response in zip(rows, reply["responses"], strict=True):
            if response is not None and response.get("id"):
                row["providerGeneratedId"] = response["id"]
        return [row["id"] for row in rows]

    def _checked(self, specification: JsonObject) -> JsonObject:
        """A specification as Core keeps it; a CoreError for what it refuses without the provider."""
        product = self._world.catalogue.product(specification.get("product") or {})
        key = (product["name"], product["category"]["name"], product["category"]["provider"])
        support = self._world.link_support.get(key)
        if support is None:
            raise CoreError(400, "unknown product requested")
        domain = text(specification, "domain")
        if self._world.era is Era.TODAY:
            domain = domain.lower()
            self._check_domain(domain, support["domainPrefix"], support["domainSuffix"])
        return {"domain": domain, "product": specification["product"]}

    def _check_domain(self, domain: str, prefix: str, suffix: str) -> None:
        """Today's rules; the seeds' Core leaves them to the provider."""
        if not domain.startswith(prefix) or not domain.removeprefix(prefix).endswith(suffix):
            raise CoreError(400, f"domain must start with '{prefix}' and end with '{suffix}'")
        name = domain.removeprefix(prefix).removesuffix(suffix)
        if len(name) < 4:
            raise CoreError(400, "your domain name must be at least 4 characters long")
        if name[0].isdigit() or not _LABEL.fullmatch(name) or len(domain) > 253:
            raise CoreError(400, "your domain name cannot be used")
        if any(row["specification"]["domain"] == domain for row in self._world.links.rows.values()):
            raise CoreError(400, "your domain name is not unique, try a different one")

    def retrieve(self, claims: JsonObject, query: Mapping[str, str]) -> JsonObject:
        """One link of the user's."""
        return self._show(self._own(claims, query.get("id"), "READ"), query)

    def browse(self, claims: JsonObject, query: Mapping[str, str]) -> JsonObject:
        """The user's links."""
        rows = [self._world.links.get(link_id) for link_id in self._world.links.rows]
        shown = [self._show(row, query) for row in rows if may(claims, row, "READ")]
        return page(shown, int(query.get("itemsPerPage") or 50), int(query.get("next") or 0))

    async def delete(self, claims: JsonObject, body: Any) -> JsonObject:
        """Delete links, once the provider has."""
        items = items_of(body)
        rows = [self._own(claims, text(item, "id"), "EDIT") for item in items]
        await self._provider.user_call("ingresses", {"items": rows}, claims["sub"], method="DELETE")
        self._world.links.forget(row["id"] for row in rows)
        return {"responses": [{} for _ in items]}

    def _own(self, claims: JsonObject, link_id: str | None, permission: str) -> JsonObject:
        row = self._world.links.get(link_id)
        if not may(claims, row, permission):
            raise CoreError(404, f"Not found or permission denied ({link_id})")
        return row

    def _show(self, row: JsonObject, flags: Mapping[str, str]) -> JsonObject:
        reference, status = row["specification"]["product"], row["status"]
        if flags.get("includeProduct") == "true":
            status["resolvedProduct"] = self._world.catalogue.resolved_product(reference, self._world.era)
        if flags.get("includeUpdates") != "true":
            row["updates"] = []
        return row
