"""The calls of the control API that only today's Core has (checkExistence, usage, products, register)."""

from .control import Call, Handler
from .jobs import check_name
from .products import check_product
from .usage import Usage
from .wire import CoreError, JsonObject, items_of, text
from .world import World

MOST_EXISTENCE_CHECKS = 1000


def check_existence(world: World, call: Call) -> JsonObject:
    """Which resources Core still has."""
    items = items_of(call.body)
    if len(items) > MOST_EXISTENCE_CHECKS:
        raise CoreError(400, "Too many items")
    return {"responses": [text(i, "type") == "job" and text(i, "id") in world.jobs.rows for i in items]}


def update_labels(world: World, call: Call) -> JsonObject:
    """New labels of jobs, in place of the old ones."""
    items = items_of(call.body)
    rows = [world.jobs.get(item.get("id")) for item in items]
    for row, item in zip(rows, items, strict=True):
        labels = item.get("labels") or {}
        if not all(isinstance(value, str) for value in labels.values()):
            raise CoreError(400, "Bad request: labels are text")
        row["specification"]["labels"] = labels
    return {}


def register(world: World, call: Call) -> JsonObject:
    """Jobs that began at the provider: each gets a row, waiting; a repeated item gets another one."""
    return {"responses": [{"id": _register(world, call, item)} for item in items_of(call.body)]}


def _register(world: World, call: Call, item: JsonObject) -> str:
    specification, generated_id = item.get("spec"), item.get("providerGeneratedId")
    if not isinstance(specification, dict):
        raise CoreError(400, "Bad request: 'spec' must be an object")
    reference = specification.get("product") or {}
    if reference.get("provider") != world.provider_id:
        raise CoreError(403, "You are not the provider of this product")
    if (item.get("projectAllRead") or item.get("projectAllWrite")) and not item.get("project"):
        raise CoreError(400, "projectAllRead and projectAllWrite need a project")
    check_name(specification.get("name"))
    named = specification.get("application") or {}
    application = world.catalogue.resolved_application(named.get("name"), named.get("version"))
    known = {row.get("providerGeneratedId") for row in world.jobs.rows.values()}
    if generated_id and generated_id in known:
        world.journal.violation("a job was registered twice", call.path, generated_id)
    job_id = world.jobs.new_id()
    world.jobs.add(
        {
            "id": job_id,
            "owner": {"createdBy": item.get("createdBy") or "_ucloud", "project": item.get("project")},
            "specification": specification,
            "status": {
                "state": "IN_QUEUE",
                "resolvedApplication": application,
                "resolvedProduct": world.catalogue.resolved_product(reference, world.era),
            },
        }
        | ({"providerGeneratedId": generated_id} if generated_id else {})
    )
    return job_id


def report_usage(world: World, call: Call) -> JsonObject:
    """Usage of owners in a category's unit; whether each wallet is still open. All of the items or none."""
    reports = [Usage.of(item) for item in items_of(call.body)]
    free = [_is_free(world, report) for report in reports]
    for report in reports:
        if world.usage.shrinks(report):
            world.journal.violation("the absolute usage of a scope went down", call.path, vars(report))
    return {
        "responses": [
            is_free or world.usage.report(report, world.ledger)
            for is_free, report in zip(free, reports, strict=True)
        ]
    }


def _is_free(world: World, report: Usage) -> bool:
    category = world.catalogue.category(report.category) if report.provider == world.provider_id else None
    if category is None or report.owner not in world.jobs.owners | world.ledger.owners():
        raise CoreError(403, "Forbidden")
    return bool(category["freeToUse"])


def register_products(world: World, call: Call) -> JsonObject:
    """The provider's products; what is paid for, and how, can never change."""
    products = items_of(call.body)
    for product in products:
        category = str((product.get("category") or {}).get("name"))
        check_product(product, world.provider_id, world.catalogue.category(category))
    for product in products:
        world.catalogue.add_product(product)
    world.support = {}
    return {}


CALLS_OF_TODAY: dict[tuple[str, str], Handler] = {
    ("POST", "/api/providers/resources/checkExistence"): check_existence,
    ("POST", "/api/jobs/control/register"): register,
    ("POST", "/api/jobs/control/updateLabels"): update_labels,
    ("POST", "/api/accounting/v2/reportUsage"): report_usage,
    ("POST", "/api/products/v2"): register_products,
}
