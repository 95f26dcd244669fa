"""Jobs with `restartOnExit`: when the provider tells of an end, Core sends a new create with the same id."""

import asyncio

from .enduser import EndUserApi
from .wire import FINAL_STATES, CoreError, JsonObject
from .world import World


class Restarts:
    """Restarts by themselves `behaviour.restart_after_seconds` after an end, or when a test says so."""

    def __init__(self, world: World, end_user: EndUserApi) -> None:
        self._world = world
        self._end_user = end_user
        self._tasks: set[asyncio.Task[None]] = set()

    def job_ended(self, row: JsonObject) -> None:
        """Restart this job later, unless it is not to be restarted or its user has ended it."""
        after = self._world.behaviour.restart_after_seconds
        wanted = row["specification"].get("restartOnExit") is True
        if after is None or not wanted or row["id"] in self._world.jobs.ended_by_user:
            return
        task = asyncio.create_task(self._later(row, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, row: JsonObject, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self.restart(row["id"])
        except CoreError as error:
            refused = {"state": "FAILURE", "status": f"The job could not be restarted: {error.why}"}
            self._world.jobs.update([{"id": row["id"], "update": refused}])

    async def restart(self, job_id: str) -> JsonObject:
        """Open an ended job again and send its create; a CoreError when the provider refuses."""
        row = self._world.jobs.get(job_id)
        if row["status"]["state"] not in FINAL_STATES:
            raise CoreError(400, f"The job {job_id} has not ended")
        self._world.jobs.reopen(row)
        await self._end_user.send([row], row["owner"]["createdBy"])
        return {}
