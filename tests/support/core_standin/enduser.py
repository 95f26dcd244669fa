"""The calls of the portal's users: the catalogue, and their jobs."""

from collections.abc import Mapping
from typing import Any

from .permissions import may
from .polling import poll_support
from .products import product_v2
from .provider import ProviderClient
from .references import check_references
from .submission import make_job, supports
from .views import browse_jobs, show_job
from .wallets import wallet_page
from .wire import CoreError, Era, JsonObject, items_of, page, text
from .world import World

_NEEDS = {"WEB": "web", "VNC": "vnc", "SHELL": "terminal"}


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

    def products_v2(self, query: Mapping[str, str]) -> JsonObject:
        """A page of products in today's shape, perhaps of one provider."""
        if self._world.era is Era.SEEDS:
            raise CoreError(404, "Not found: GET /api/products/v2/browse")
        provider = query.get("filterProvider")
        products = [
            product_v2(product)
            for product in self._world.catalogue.products.values()
            if product.get("productType", "COMPUTE") in ("COMPUTE", "INGRESS")
            and provider in (None, product["category"]["provider"])
        ]
        return page(products, int(query.get("itemsPerPage") or 50), int(query.get("next") or 0))

    def wallets(self, claims: JsonObject) -> JsonObject:
        """What the user, or the project, has left."""
        return wallet_page(self._world, claims)

    def activate_licences(self, claims: JsonObject, body: Any) -> JsonObject:
        """Activate granted licences for use in jobs; providers of machines are not told."""
        responses = []
        for item in items_of(body):
            product = self._world.catalogue.product(item.get("product") or {})
            if product.get("productType") != "LICENSE":
                raise CoreError(400, f"{product['name']} is no licence")
            licence = {"id": self._world.jobs.new_id(), "owner": _owner(claims), "product": item["product"]}
            self._world.licences[licence["id"]] = licence
            responses.append({"id": licence["id"]})
        return {"responses": responses}

    async def utilization(self, claims: JsonObject, query: Mapping[str, str]) -> JsonObject:
        """How busy the machines of a job's kind are."""
        row = self._own(claims, query.get("jobId"))
        category = row["specification"]["product"]["category"]
        answer = await self._provider.call("GET", f"jobs/retrieveUtilization?categoryId={category}")
        return self._provider.expect(answer)

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
        for specification in specifications:
            check_references(self._world, specification, claims)
        jobs = [make_job(self._world, specification, _owner(claims)) for specification in specifications]
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
        rows = [self._world.jobs.get(job["id"]) for job in jobs]
        try:
            await self.send(rows, user)
        except CoreError:
            self._world.jobs.forget(job["id"] for job in jobs)
            raise
        if self._world.era is Era.SEEDS:
            for row in rows:
                self._world.jobs.tell_first(row)

    async def send(self, rows: list[JsonObject], user: str) -> None:
        """Send rows that exist to the provider; a CoreError when it refuses."""
        reply = await self._provider.user_call("jobs", {"items": rows}, user)
        self.keep_provider_ids([row["id"] for row in rows], reply["responses"])

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
        rows = [row for row in self._world.jobs.rows.values() if may(claims, row, "READ")]
        return browse_jobs(self._world, rows, query)

    async def per_job(self, claims: JsonObject, operation: str, body: Any) -> JsonObject:
        """terminate, suspend, unsuspend, extend or interactiveSession of jobs that the user may change."""
        items = items_of(body)
        rows = [
            self._own(claims, text(item, "jobId" if operation == "extend" else "id"), "EDIT")
            for item in items
        ]
        if operation == "terminate":
            await self.end(rows, claims["sub"])
            return {"responses": [{} for _ in items]}
        for row, item in zip(rows, items, strict=True):
            _check_support(operation, row, item)
        requests = [
            {"job": row} | {key: value for key, value in item.items() if key not in ("id", "jobId")}
            for row, item in zip(rows, items, strict=True)
        ]
        reply = await self._provider.user_call(f"jobs/{operation}", {"items": requests}, claims["sub"])
        if operation != "interactiveSession":
            return {"responses": [{} for _ in items]}
        return {"responses": [self._session(response) for response in reply["responses"]]}

    async def end(self, rows: list[JsonObject], user: str) -> None:
        """Ask the provider to end jobs, which are then not restarted."""
        await self._provider.user_call("jobs/terminate", {"items": rows}, user)
        self._world.jobs.ended_by_user |= {row["id"] for row in rows}

    def _session(self, session: JsonObject) -> JsonObject:
        domain = session.get("domainOverride") or self._world.provider_url
        return {"providerDomain": domain, "providerId": self._world.provider_id, "session": session}

    def _own(self, claims: JsonObject, job_id: str | None, permission: str = "READ") -> JsonObject:
        row = self._world.jobs.get(job_id)
        if not may(claims, row, permission):
            raise CoreError(404, f"Not found or permission denied ({job_id})")
        return row


def _owner(claims: JsonObject) -> JsonObject:
    return {"createdBy": claims["sub"], "project": claims.get("project")}


def _check_support(operation: str, row: JsonObject, item: JsonObject) -> None:
    """Refuse what the machine of a job does not support; of suspension Core does not ask."""
    feature = None
    if operation == "extend":
        feature = "timeExtension"
    elif operation == "interactiveSession":
        feature = _NEEDS.get(str(item.get("sessionType")))
        if feature is None:
            raise CoreError(400, f"Bad request: there is no session of type {item.get('sessionType')!r}")
    if feature and row["status"].get("resolvedSupport") and not supports(row, feature):
        raise CoreError(400, f"This machine type does not support '{feature}' for the application")
