"""The calls of the portal's users: the catalogue, and their jobs."""

from collections.abc import Mapping
from typing import Any

from .polling import poll_support
from .provider import ProviderClient
from .submission import make_job
from .views import browse_jobs, show_job
from .wire import CoreError, Era, JsonObject, items_of, page, text
from .world import World


class EndUserApi:
    """The end-user API for one signed-in user at a time: `claims` are those of the user's token."""

    def __init__(self, world: World, provider: ProviderClient) -> None:
        self._world = world
        self._provider = provider

    def applications(self, query: Mapping[str, str]) -> JsonObject:
        """A page of the catalogue, in the old page shape."""
        shown = [
            {key: app[key] for key in ("metadata", "favorite", "tags") if key in app}
            for app in self._world.catalogue.applications.values()
        ]
        size, number = int(query.get("itemsPerPage") or 50), int(query.get("page") or 0)
        items = shown[size * number : size * (number + 1)]
        return {"itemsInTotal": len(shown), "itemsPerPage": size, "pageNumber": number, "items": items}

    def application(self, query: Mapping[str, str]) -> JsonObject:
        """One application by `appName` and `appVersion`."""
        return self._world.catalogue.application(query.get("appName"), query.get("appVersion"))

    def products(self, query: Mapping[str, str]) -> JsonObject:
        """A page of products, `filterArea` being their type."""
        area = query.get("filterArea")
        products = [
            product
            for product in self._world.catalogue.products.values()
            if area is None or product.get("productType", "COMPUTE") == area
        ]
        return page(products, int(query.get("itemsPerPage") or 50), int(query.get("next") or 0))

    async def support(self) -> JsonObject:
        """The machines of the provider and what they can do, asked of it now."""
        await poll_support(self._world, self._provider)
        resolved = [
            {"product": self._world.catalogue.product(support["product"]), "support": support}
            for support in self._world.support.values()
        ]
        return {"productsByProvider": {self._world.provider_id: resolved}}

    async def create(self, claims: JsonObject, body: Any) -> JsonObject:
        """Submit jobs: all items in one call in the era of the seeds, one a call today."""
        specifications = items_of(body)
        if any(self._reference(specification) not in self._world.support for specification in specifications):
            await poll_support(self._world, self._provider)
        owner = {"createdBy": claims["sub"], "project": claims.get("project")}
        jobs = [make_job(self._world, specification, owner) for specification in specifications]
        batches = [jobs] if self._world.era is Era.SEEDS else [[job] for job in jobs]
        for batch in batches:
            await self.submit(batch, claims["sub"])
        return {"responses": [{"id": job["id"]} for job in jobs]}

    def _reference(self, specification: JsonObject) -> tuple[str, str, str]:
        product = self._world.catalogue.product(specification.get("product") or {})
        return product["name"], product["category"]["name"], product["category"]["provider"]

    async def submit(self, jobs: list[JsonObject], user: str) -> None:
        """Send rows to the provider; the rows exist before, and are deleted when it refuses."""
        for job in jobs:
            self._world.jobs.add(job)
        try:
            sent = [self._world.jobs.get(job["id"]) for job in jobs]
            reply = await self._provider.user_call("jobs", {"items": sent}, user)
        except CoreError:
            self._world.jobs.forget(job["id"] for job in jobs)
            raise
        self.keep_provider_ids([job["id"] for job in jobs], reply["responses"])

    def keep_provider_ids(self, job_ids: list[str], responses: list[Any]) -> None:
        """Keep the ids that the provider gave, where it gave one."""
        for job_id, response in zip(job_ids, responses, strict=True):
            if response is None:
                continue
            if not isinstance(response, dict) or not isinstance(response.get("id"), str):
                self._world.journal.violation("a created job is answered by null or {id}", "jobs", response)
            elif response["id"] and job_id in self._world.jobs.rows:
                self._world.jobs.rows[job_id]["providerGeneratedId"] = response["id"]

    def retrieve(self, claims: JsonObject, query: Mapping[str, str]) -> JsonObject:
        """One job of the user's."""
        row = self._own(claims, query.get("id"))
        return show_job(self._world, row, query, whole=self._world.era is Era.TODAY)

    def browse(self, claims: JsonObject, query: Mapping[str, str]) -> JsonObject:
        """The user's jobs."""
        rows = [row for row in self._world.jobs.rows.values() if _may_see(claims, row)]
        return browse_jobs(self._world, rows, query)

    async def per_job(self, claims: JsonObject, operation: str, body: Any) -> JsonObject:
        """terminate, suspend, unsuspend, extend or interactiveSession of own jobs."""
        items = items_of(body)
        rows = [self._own(claims, text(item, "jobId" if operation == "extend" else "id")) for item in items]
        requests = [_provider_item(operation, row, item) for row, item in zip(rows, items, strict=True)]
        reply = await self._provider.user_call(f"jobs/{operation}", {"items": requests}, claims["sub"])
        if operation != "interactiveSession":
            return {"responses": [{} for _ in items]}
        return {"responses": [self._session(response) for response in reply["responses"]]}

    def _session(self, session: JsonObject) -> JsonObject:
        domain = session.get("domainOverride") or self._world.provider_url
        return {"providerDomain": domain, "providerId": self._world.provider_id, "session": session}

    def _own(self, claims: JsonObject, job_id: str | None) -> JsonObject:
        row = self._world.jobs.get(job_id)
        if not _may_see(claims, row):
            raise CoreError(404, f"Not found or permission denied ({job_id})")
        return row


def _may_see(claims: JsonObject, row: JsonObject) -> bool:
    owner = row["owner"]
    if owner.get("project"):
        return bool(owner["project"] == claims.get("project"))
    return bool(owner.get("createdBy") == claims["sub"])


def _provider_item(operation: str, row: JsonObject, item: JsonObject) -> JsonObject:
    if operation == "terminate":
        return row
    return {"job": row} | {key: value for key, value in item.items() if key not in ("id", "jobId")}
