"""All jobs that are followed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from slurm_provider.facade.logs.follower import Follower
from slurm_provider.facade.logs.hub import Hub
from slurm_provider.jobmap import Door, JobMap, JobOutput
from slurm_provider.rpc.cluster import Cluster

log = structlog.get_logger()

REVIEW_SECONDS = 1.0
"""How soon a job's start and end are seen once the tracker has seen them. Slurm is not asked."""
TURNS = 32
"""Readings at a time of those who have to catch up."""


class CannotFollow(Exception):
    """A job whose output cannot be shown; the text is for the user."""


class Hubs:
    """Gives everyone who follows a job a follower; a job is read once, for as long as anybody follows it."""

    def __init__(self, jobmap: Door, clusters: Mapping[str, Cluster]) -> None:
        self._jobmap = jobmap
        self._clusters = clusters
        self._hubs: dict[str, Hub] = {}
        self._turns = asyncio.Semaphore(TURNS)
        self._reviewing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, job_id: str) -> AsyncIterator[Follower]:
        """Follow a job; raise CannotFollow where there is nothing to be shown."""
        hub = self._hub(await self._output(job_id))
        follower = Follower(hub, self._turns)
        hub.readers.add(follower)
        try:
            yield follower
        finally:
            hub.readers.remove(follower)
            hub.taken()
            if not hub.readers:
                if self._hubs.get(job_id) is hub:
                    del self._hubs[job_id]
                await hub.close()

    async def _output(self, job_id: str) -> JobOutput:
        output = (await self._jobmap.call(_outputs, [job_id])).get(job_id)
        if output is None:
            raise CannotFollow("this provider does not know the job")
        if output.is_outside:
            raise CannotFollow(
                "the job was submitted without UCloud: what it prints is in the files that it was told to"
                " write, where its user can read it"
            )
        if output.folder is None and output.has_started and not output.has_ended:
            raise CannotFollow("it is not known in which folder the job runs, so its output cannot be shown")
        return output

    def _hub(self, output: JobOutput) -> Hub:
        hub = self._hubs.get(output.job_id)
        if hub is None or hub.finished:
            hub = self._hubs[output.job_id] = Hub(output, self._clusters[output.cluster].logs)
        hub.note(output)
        if self._reviewing is None:
            self._reviewing = asyncio.create_task(self._review())
        return hub

    async def _review(self) -> None:
        """Tell the hubs, while there are any, what has become of their jobs."""
        while True:
            await asyncio.sleep(REVIEW_SECONDS)
            open_ids = [job_id for job_id, hub in self._hubs.items() if not hub.output.has_ended]
            if not open_ids:
                continue
            try:
                outputs = await self._jobmap.call(_outputs, open_ids)
            except Exception:
                log.exception("followed jobs not reviewed")
                continue
            for job_id, output in outputs.items():
                if hub := self._hubs.get(job_id):
                    hub.note(output)

    async def close(self) -> None:
        """Stop reading."""
        if self._reviewing is not None:
            self._reviewing.cancel()
            await asyncio.gather(self._reviewing, return_exceptions=True)
        for hub in list(self._hubs.values()):
            await hub.close()


def _outputs(jobmap: JobMap, job_ids: list[str]) -> dict[str, JobOutput]:
    return jobmap.outputs.of(job_ids)
