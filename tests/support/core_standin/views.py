"""Jobs as Core shows them: flags, filters and pages."""

import copy
from collections.abc import Iterable, Mapping

from .wire import CoreError, Era, JsonObject, page
from .world import World


def show_job(world: World, row: JsonObject, flags: Mapping[str, str], *, whole: bool) -> JsonObject:
    """A copy of a row with only the resolved parts that the flags ask for.

    `whole` keeps application and updates whatever the flags say.
    """
    job = copy.deepcopy(row)
    status = job["status"]
    if not (whole or _on(flags, "includeApplication")):
        status["resolvedApplication"] = None
    if not _on(flags, "includeProduct"):
        status["resolvedProduct"] = None
    if not _on(flags, "includeSupport"):
        status["resolvedSupport"] = None
    if world.era is Era.TODAY and not (whole or _on(flags, "includeUpdates")):
        job["updates"] = []
    return job


def browse_jobs(world: World, rows: Iterable[JsonObject], query: Mapping[str, str]) -> JsonObject:
    """A PageV2 of the rows that pass the filters, oldest first unless the query says otherwise."""
    found = [row for row in rows if _passes(row, query)]
    if query.get("sortDirection") == "descending":
        found.reverse()
    try:
        start, size = int(query.get("next") or 0), int(query.get("itemsPerPage") or 50)
    except ValueError as error:
        raise CoreError(400, "Bad request: itemsPerPage and next must be numbers") from error
    answer = page(found, min(max(size, 1), 250), start)
    answer["items"] = [show_job(world, row, query, whole=False) for row in answer["items"]]
    return answer


def _on(flags: Mapping[str, str], name: str) -> bool:
    return flags.get(name) == "true"


def _passes(row: JsonObject, query: Mapping[str, str]) -> bool:
    specification = row["specification"]
    product, application = specification.get("product") or {}, specification.get("application") or {}
    actual = {
        "filterState": row["status"]["state"],
        "filterIds": row["id"],
        "filterProviderIds": row.get("providerGeneratedId"),
        "filterApplication": application.get("name"),
        "filterCreatedBy": row["owner"].get("createdBy"),
        "filterProvider": product.get("provider"),
        "filterProductId": product.get("id"),
        "filterProductCategory": product.get("category"),
    }
    if any(query.get(name) and value not in query[name].split(",") for name, value in actual.items()):
        return False
    after, before = query.get("filterCreatedAfter"), query.get("filterCreatedBefore")
    created_at = row["createdAt"]
    return not (after and created_at < int(after)) and not (before and created_at > int(before))
