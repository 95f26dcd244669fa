"""What a specification refers to: files, peers and licences, which must be there and be the user's."""

from collections.abc import Iterator

from .permissions import may
from .wire import CoreError, Era, JsonObject
from .world import World


def check_references(world: World, specification: JsonObject, claims: JsonObject) -> None:
    """Refuse a job that refers to what its user cannot use; of a peer also whether it runs."""
    for value in _values(specification):
        match value.get("type"):
            case "file":
                _check_file(world, value, claims)
            case "peer":
                _check_peer(world, value, claims)
            case "license_server":
                _check_licence(world, value, claims)
            case "ingress":
                _check_link(world, value, claims, specification)


def uses_file_below(specification: JsonObject, path: str) -> bool:
    """Whether a job uses a file or folder at or below a UCloud path."""
    return any(
        value.get("type") == "file" and is_below(str(value.get("path")), path)
        for value in _values(specification)
    )


def is_below(path: str, folder: str) -> bool:
    """Whether a UCloud path is this folder or in it."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _values(specification: JsonObject) -> Iterator[JsonObject]:
    yield from (value for value in (specification.get("parameters") or {}).values() if value)
    yield from specification.get("resources") or []


def _check_file(world: World, value: JsonObject, claims: JsonObject) -> None:
    path = value.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise CoreError(400, f"Bad request: {path!r} is no path")
    if any(user == claims["sub"] and is_below(path, folder) for user, folder in world.revoked):
        raise CoreError(404, f"Not found or permission denied ({path})")


def _check_peer(world: World, value: JsonObject, claims: JsonObject) -> None:
    job_id = value.get("jobId")
    row = world.jobs.rows.get(str(job_id))
    if row is None or not may(claims, row, "EDIT"):
        raise CoreError(403, f"You do not have permission to connect to the job {job_id}")
    if row["status"]["state"] != "RUNNING":
        raise CoreError(400, f"The job {job_id} is not running, so nothing can be connected to it")


def _check_licence(world: World, value: JsonObject, claims: JsonObject) -> None:
    licence = world.licences.get(str(value.get("id")))
    if licence is None or not may(claims, licence, "READ"):
        raise CoreError(404, f"Not found or permission denied ({value.get('id')})")


def _check_link(world: World, value: JsonObject, claims: JsonObject, specification: JsonObject) -> None:
    link = world.links.get(str(value.get("id")))
    if not may(claims, link, "EDIT"):
        raise CoreError(404, f"Not found or permission denied ({value.get('id')})")
    is_free = link["status"]["state"] == "READY" and not link["status"]["boundTo"]
    if world.era is Era.SEEDS and not is_free:  # today's Core leaves that to the provider
        raise CoreError(400, "Not all resources are ready")
    provider = (specification.get("product") or {}).get("provider")
    own = link["specification"]["product"]["provider"] == provider
    if not own or link["owner"]["project"] != claims.get("project"):
        raise CoreError(400, "Not all resources can be used in this application")
