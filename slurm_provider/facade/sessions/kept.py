"""Terminals that nobody looks at just now: kept on the cluster for a while, unless their session ends."""

import asyncio
from collections.abc import Mapping

import structlog

from slurm_provider.facade.sessions.living import LivingSessions, TooManyConnections
from slurm_provider.jobmap import Door, JobMap, Session
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.errors import ClusterUnavailable

log = structlog.get_logger()

RETRY_SECONDS = 5.0


class KeptTerminals:
    """Ends terminals on the cluster as soon as nobody may use them any more."""

    def __init__(
        self, jobmap: Door, clusters: Mapping[str, Cluster], living: LivingSessions, seconds: float
    ) -> None:
        self._jobmap = jobmap
        self._clusters = clusters
        self._living = living
        self._seconds = seconds
        self._kept: dict[int, asyncio.Task[None]] = {}

    async def start(self, now: float) -> None:
        """Keep an eye on the terminals that an earlier run of this program has left."""
        since = int(now - self._seconds)
        for session, key in await self._jobmap.call(_terminals, since):
            self.keep(session, key)

    def keep(self, session: Session, key: str) -> None:
        """Watch a terminal that nobody looks at for as long as the cluster keeps it."""
        self.taken_up(session.number)
        self._kept[session.number] = asyncio.create_task(self._watch(session, key))

    def taken_up(self, number: int) -> None:
        """Leave a terminal to whoever looks at it now."""
        if watching := self._kept.pop(number, None):
            watching.cancel()

    async def end(self, session: Session, key: str, why: str) -> None:
        """Close a terminal's session, and end what runs in the terminal."""
        await self._jobmap.call(_close, session.number, why)
        if cluster := self._clusters.get(session.cluster):
            try:
                await cluster.shells.close(session.local_user, key)
            except ClusterUnavailable as error:
                # Left alone, it is ended by the cluster itself after a while.
                log.warning("terminal not closed yet", session=session.number, reason=str(error))

    async def close(self) -> None:
        """Watch no longer; the terminals themselves go on."""
        for watching in self._kept.values():
            watching.cancel()
        await asyncio.gather(*self._kept.values(), return_exceptions=True)

    async def _watch(self, session: Session, key: str) -> None:
        try:
            still_valid = await self._living.run(session.number, asyncio.sleep(self._seconds))
        except TooManyConnections:
            return
        while not still_valid:
            try:
                await self.end(session, key, "the session has ended")
                break
            except Exception:
                log.exception("terminal not ended yet", session=session.number)
                await asyncio.sleep(RETRY_SECONDS)
        self._kept.pop(session.number, None)


def _terminals(jobmap: JobMap, since: int) -> list[tuple[Session, str]]:
    return jobmap.sessions.terminals(since)


def _close(jobmap: JobMap, number: int, why: str) -> None:
    jobmap.sessions.close(why.strip().rstrip("."), number=number)
