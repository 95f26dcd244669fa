"""Who may see and change a job."""

from .wire import CoreError, JsonObject, text

_OWNERS_OWN = ["READ", "EDIT", "ADMIN"]


def may(claims: JsonObject, row: JsonObject, permission: str) -> bool:
    """Whether a signed-in user is a job's owner (or in its project), or was given this permission on it."""
    owner = row["owner"]
    if owner.get("project"):
        owns = owner["project"] == claims.get("project")
    else:
        owns = owner.get("createdBy") == claims["sub"]
    others = (row.get("permissions") or {}).get("others") or []
    return bool(owns) or any(
        entry["entity"] == _user(claims["sub"]) and {permission, "ADMIN"} & set(entry["permissions"])
        for entry in others
    )


def change_acl(row: JsonObject, added: list[JsonObject], deleted: list[JsonObject]) -> None:
    """Give `added` ({entity, permissions}) and take from `deleted` (entities)."""
    for entry in [*added, *({"entity": entity} for entity in deleted)]:
        if (entry.get("entity") or {}).get("type") not in ("user", "project_group"):
            raise CoreError(400, "Bad request: an entity is a user or a project_group")
    gone = [*deleted, *(entry["entity"] for entry in added)]
    kept = [e for e in (row.get("permissions") or {}).get("others") or [] if e["entity"] not in gone]
    row["permissions"] = {"myself": _OWNERS_OWN, "others": [*kept, *added]}


def acl_change(item: JsonObject) -> tuple[str, list[JsonObject], list[JsonObject]]:
    """Read an item of updateAcl: id, added, deleted."""
    return text(item, "id"), list(item.get("added") or []), list(item.get("deleted") or [])


def _user(username: str) -> JsonObject:
    return {"type": "user", "username": username}
