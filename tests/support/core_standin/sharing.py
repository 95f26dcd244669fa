"""What others may do with a user's jobs, and what becomes of jobs whose user loses access to files."""

from typing import Any

from .enduser import EndUserApi
from .permissions import acl_change, change_acl, may
from .provider import ProviderClient
from .references import uses_file_below
from .wire import FINAL_STATES, CoreError, Era, JsonObject, items_of, text
from .world import World

LOST_PERMISSIONS = "Your job has been terminated (Lost permissions)"


class Sharing:
    """Changes of access, as users and owners of shares make them."""

    def __init__(self, world: World, provider: ProviderClient, end_user: EndUserApi) -> None:
        self._world = world
        self._provider = provider
        self._end_user = end_user

    async def update_acl(self, claims: JsonObject, body: Any) -> JsonObject:
        """`jobs/updateAcl`: in the era of the seeds the provider is told, and has to agree."""
        changes = [acl_change(item) for item in items_of(body)]
        rows = [self._world.jobs.get(job_id) for job_id, _, _ in changes]
        if not all(may(claims, row, "ADMIN") for row in rows):
            raise CoreError(404, "Not found or permission denied")
        if self._world.era is Era.SEEDS:
            items = [
                {"resource": row, "added": added, "deleted": deleted}
                for row, (_, added, deleted) in zip(rows, changes, strict=True)
            ]
            await self._provider.user_call("jobs/updateAcl", {"items": items}, claims["sub"])
        for row, (_, added, deleted) in zip(rows, changes, strict=True):
            change_acl(row, added, deleted)
        return {"responses": [{} for _ in rows]}

    async def revoke(self, body: JsonObject) -> JsonObject:
        """Take the files below `path` from `user`; gives the ids of the jobs that Core ends for it.

        Core asks the provider to end them, and says why itself.
        """
        user, path = text(body, "user"), text(body, "path")
        self._world.revoked.add((user, path))
        losers = [
            row
            for row in self._world.jobs.rows.values()
            if row["owner"].get("createdBy") == user
            and row["status"]["state"] not in FINAL_STATES
            and uses_file_below(row["specification"], path)
        ]
        for row in losers:
            await self._end_user.end([row], user)
            why = {"state": "SUCCESS", "status": LOST_PERMISSIONS}
            self._world.jobs.update([{"id": row["id"], "update": why}])
        return {"ended": [row["id"] for row in losers]}
