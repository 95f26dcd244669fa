"""A user's specification becomes a Job: what Core checks, and what it resolves for the provider."""

import copy
from typing import Any

from .wire import CoreError, Era, JsonObject, now_ms
from .world import World

_VALUE_TYPES = {
    "input_file": "file",
    "input_directory": "file",
    "textarea": "text",
    "enumeration": "text",
    "network_ip": "network",
}
BLOCKS = {"DOCKER": "docker", "NATIVE": "native", "VIRTUAL_MACHINE": "virtualMachine"}


def make_job(world: World, specification: JsonObject, owner: JsonObject) -> JsonObject:
    """The Job of a checked specification, with a new id; a CoreError for what Core would refuse."""
    application = world.catalogue.resolved_application(
        *((specification.get("application") or {}).get(key) for key in ("name", "version"))
    )
    reference = specification.get("product") or {}
    product = world.catalogue.resolved_product(reference, world.era)
    support = world.support.get((reference["id"], reference["category"], reference["provider"]))
    check(specification, application, support)
    specification = copy.deepcopy(specification)
    if world.era is Era.TODAY:
        _inject(specification)
    job = {
        "id": world.jobs.new_id(),
        "owner": owner,
        "updates": [],
        "specification": specification,
        "status": {
            "state": "IN_QUEUE",
            "resolvedApplication": application,
            "resolvedSupport": _resolved_support(world.era, product, support or {}),
            "resolvedProduct": product,
        },
        "createdAt": now_ms(),
        "output": None,
        "permissions": None,
    }
    if world.era is Era.TODAY:
        job["output"] = {"outputFolder": None}
        job["permissions"] = {"myself": ["READ", "EDIT", "ADMIN"], "others": []}
    return job


def check(specification: JsonObject, application: JsonObject, support: JsonObject | None) -> None:
    """Refuse what needs no provider to be refused."""
    invocation = application["invocation"]
    backend = invocation["tool"]["tool"]["description"]["backend"]
    block = (support or {}).get(BLOCKS.get(backend, "")) or {}
    if not block.get("enabled"):
        raise CoreError(400, f"The application is not supported on this machine type ({backend})")
    replicas = specification.get("replicas", 1)
    if not isinstance(replicas, int) or replicas < 1:
        raise CoreError(400, "The number of replicas must be at least 1")
    if replicas > 1 and not invocation.get("allowMultiNode"):
        raise CoreError(400, "The application does not run on more than one node")
    duration = specification.get("timeAllocation")
    if duration is not None and sum(duration.get(unit, 0) for unit in ("hours", "minutes", "seconds")) <= 0:
        raise CoreError(400, "The time allocation must be positive")
    for parameter in invocation["parameters"]:
        _check_value(parameter, (specification.get("parameters") or {}).get(parameter["name"]))


def supports(row: JsonObject, feature: str) -> bool:
    """Whether the machine of a job supports a feature for its application (`timeExtension`, `web`, ...)."""
    status = row["status"]
    tool = (status.get("resolvedApplication") or {}).get("invocation", {}).get("tool", {}).get("tool", {})
    block = BLOCKS.get((tool.get("description") or {}).get("backend", ""), "")
    support = ((status.get("resolvedSupport") or {}).get("support") or {}).get(block) or {}
    return support.get(feature) is True


def _check_value(parameter: JsonObject, value: Any) -> None:
    name = parameter["name"]
    if value is None:
        if not parameter["optional"] and parameter.get("defaultValue") is None:
            raise CoreError(400, f"Missing value for '{name}'")
        return
    wanted = _VALUE_TYPES.get(parameter["type"], parameter["type"])
    if not isinstance(value, dict) or value.get("type") != wanted:
        raise CoreError(400, f"Bad value for '{name}': expected one of type {wanted}")


def _inject(specification: JsonObject) -> None:
    """What today's Core adds to every submission: a parameter that no application declares."""
    hidden = {"ucMetricSampleRate": {"type": "text", "value": "0ms"}}
    specification["parameters"] = (specification.get("parameters") or {}) | hidden
    specification.setdefault("hostname", None)
    specification.setdefault("labels", None)


def _resolved_support(era: Era, product: JsonObject, support: JsonObject) -> JsonObject:
    resolved = {"product": product, "support": support}
    return resolved if era is Era.SEEDS else resolved | {"features": features(support)}


def features(support: JsonObject) -> list[str]:
    """Today's feature keys of a support object, `jobs.<block>.<feature>`."""
    blocks = {"docker": "docker", "native": "native", "virtualMachine": "vm"}
    return [
        f"jobs.{short}.{'extension' if name == 'timeExtension' else name}"
        for block, short in blocks.items()
        for name, on in (support.get(block) or {}).items()
        if on is True
    ]
