"""The control API that Core serves to the provider: one function a call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .jobs import unknown_keys
from .ledger import Charge
from .links import breaches
from .views import browse_jobs, show_job
from .wire import FINAL_STATES, CoreError, Era, JsonObject, items_of, page, text
from .world import World


@dataclass
class Call:
    """A call of the provider, read; `notes` are kept with its record."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    notes: JsonObject = field(default_factory=dict)


Handler = Callable[[World, Call], JsonObject]


def refresh(world: World, call: Call) -> JsonObject:
    """A provider token for the refresh token; the one call without authorization."""
    items = items_of(call.body)
    if any(item.get("refreshToken") != world.keys.refresh_token for item in items):
        raise CoreError(401, "Unauthorized")
    return {"responses": [{"accessToken": world.keys.provider_token(), "csrfToken": ""} for _ in items]}


def update(world: World, call: Call) -> JsonObject:
    """New states, messages and folders of jobs; the whole batch or nothing."""
    items = items_of(call.body)
    applied = call.notes["applied"] = world.jobs.update(items)
    for item, took_effect in zip(items, applied, strict=True):
        _note_breaches(world, call, item["update"])
        if took_effect and item["update"].get("state") in FINAL_STATES:
            world.job_ended(world.jobs.get(item["id"]))
    return {}


def _note_breaches(world: World, call: Call, change: JsonObject) -> None:
    if world.era is Era.TODAY and change.get("state") == "CANCELING":
        world.journal.violation("today's Core knows no state CANCELING", call.path, change)
    for key in unknown_keys(change):
        world.journal.violation(f"an update has no key {key!r}", call.path, change)


def charge_credits(world: World, call: Call) -> JsonObject:
    """Take credits for used time."""
    return _charge(world, call, dry_run=False)


def check_credits(world: World, call: Call) -> JsonObject:
    """Whether the same charges could be paid; nothing is taken."""
    return _charge(world, call, dry_run=True)


def _charge(world: World, call: Call, *, dry_run: bool) -> JsonObject:
    charges = [_priced(world, item) for item in items_of(call.body)]
    for charge in [] if dry_run else charges:
        known = world.ledger.charges.get(charge.charge_id)
        if known is not None and known != charge:
            world.journal.violation("one charge id for two different charges", call.path, charge.charge_id)
    if world.era is Era.TODAY:
        if not dry_run:
            world.journal.violation("today's Core wants reportUsage, not chargeCredits", call.path, call.body)
        return _charge_reply(world.ledger.charge_today(charges, dry_run=dry_run), [])
    return _charge_reply(*world.ledger.charge(charges, dry_run=dry_run))


def _charge_reply(insufficient: list[str], duplicates: list[str]) -> JsonObject:
    return {
        "insufficientFunds": [{"id": job_id} for job_id in insufficient],
        "duplicateCharges": [{"id": job_id} for job_id in duplicates],
    }


def _priced(world: World, item: JsonObject) -> Charge:
    try:
        job = world.jobs.get(item.get("id"))
    except CoreError as error:
        raise CoreError(404 if world.era is Era.SEEDS else 400, error.why) from error
    product = job["status"].get("resolvedProduct")
    return Charge.of(item, job, product or world.catalogue.product(job["specification"]["product"]))


def retrieve(world: World, call: Call) -> JsonObject:
    """One job by `id`."""
    return show_job(world, world.jobs.get(call.query.get("id")), call.query, whole=world.era is Era.TODAY)


def browse(world: World, call: Call) -> JsonObject:
    """Jobs of this provider, a page at a time."""
    return browse_jobs(world, world.jobs.rows.values(), call.query)


def browse_ssh_keys(world: World, call: Call) -> JsonObject:
    """The keys of a job's owner, and unless `owner` is set those of the others who may use it."""
    body = call.body if isinstance(call.body, dict) else {}
    row = world.jobs.get(text(body, "jobId"))
    users = [row["owner"].get("createdBy")]
    if not body.get("owner"):
        others = (row.get("permissions") or {}).get("others") or []
        users += [entry["entity"].get("username") for entry in others]
    return page([key for user in users for key in world.ssh_keys.get(user, [])], 250, 0)


def connected(world: World, call: Call) -> JsonObject:
    """A user has linked an account at the provider."""
    world.connections.add(_username(call))
    return {}


def disconnected(world: World, call: Call) -> JsonObject:
    """A user has lost the account at the provider."""
    world.connections.discard(_username(call))
    return {}


def _username(call: Call) -> str:
    return text(call.body if isinstance(call.body, dict) else {}, "username")


def update_links(world: World, call: Call) -> JsonObject:
    """New states of public links; the whole batch or nothing."""
    items = items_of(call.body)
    world.links.update(items)
    for item in items:
        for what in breaches(item["update"]):
            world.journal.violation(what, call.path, item["update"])
    return {}


def retrieve_link(world: World, call: Call) -> JsonObject:
    """One public link by `id`."""
    return world.links.get(call.query.get("id"))


def browse_links(world: World, call: Call) -> JsonObject:
    """Public links of this provider, a page at a time."""
    rows = [world.links.get(link_id) for link_id in world.links.rows]
    return page(rows, int(call.query.get("itemsPerPage") or 50), int(call.query.get("next") or 0))


REFRESH_PATH = "/auth/providers/refresh"

CALLS: dict[tuple[str, str], Handler] = {
    ("POST", REFRESH_PATH): refresh,
    ("POST", "/api/jobs/control/update"): update,
    ("POST", "/api/jobs/control/chargeCredits"): charge_credits,
    ("POST", "/api/jobs/control/checkCredits"): check_credits,
    ("GET", "/api/jobs/control/retrieve"): retrieve,
    ("GET", "/api/jobs/control/browse"): browse,
    ("POST", "/api/jobs/control/browseSshKeys"): browse_ssh_keys,
    ("POST", "/api/ingresses/control/update"): update_links,
    ("GET", "/api/ingresses/control/retrieve"): retrieve_link,
    ("GET", "/api/ingresses/control/browse"): browse_links,
    ("POST", "/api/providers/integration/control/approveConnection"): connected,
    ("POST", "/api/providers/integration/control/clearConnection"): disconnected,
}
