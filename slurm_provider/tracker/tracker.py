"""The loops that keep the job map true: one for each cluster, and one that tells Core."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from slurm_provider.config import Era, FacadeConfig
from slurm_provider.core import CoreClient, TodaysCore
from slurm_provider.jobmap import Door, JobMap
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.tracker.credits import CreditCheck
from slurm_provider.tracker.delivery import Delivery
from slurm_provider.tracker.identity import Tagger
from slurm_provider.tracker.limit_cache import LimitCache
from slurm_provider.tracker.orphans import Orphans
from slurm_provider.tracker.registrar import Registrar
from slurm_provider.tracker.registration import Registration
from slurm_provider.tracker.submitter import Submitter
from slurm_provider.tracker.tick import Tick
from slurm_provider.tracker.usage import UsageCheck

log = structlog.get_logger()

SHORTEST_PAUSE_SECONDS = 1.0
"""Between two ticks, however often the next one is asked for."""


class Tracker:
    """Everything that goes on beside the HTTP calls. One for a job map."""

    def __init__(
        self,
        config: FacadeConfig,
        jobmap: Door,
        core: CoreClient,
        clusters: Mapping[str, Cluster],
        tagger: Tagger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._jobmap = jobmap
        self._core = core
        self._clusters = clusters
        self.limits = {
            name: LimitCache(cluster, jobmap, config.tracker.limits_interval_seconds)
            for name, cluster in clusters.items()
        }
        self._hurry = {name: asyncio.Event() for name in clusters}
        self._orphans: Orphans | None = None
        if config.core.era is Era.TODAY:
            self._orphans = Orphans(config.core.orphans, jobmap, TodaysCore(core), self.hurry, clock)
        refused = self._orphans.refused if self._orphans else None
        self.delivery = Delivery(jobmap, core, self.hurry, refused=refused)
        self.submitter = Submitter(config, jobmap, clusters, self.limits, tagger, self.delivery.wake, clock)
        credit_check: CreditCheck | UsageCheck = UsageCheck(jobmap)
        if config.core.era is Era.SEEDS:
            credit_check = CreditCheck(config.provider.id, jobmap, core, self.hurry)
        registrars = {
            name: Registrar(config, cluster, jobmap, core, self.hurry_and_tell, clock)
            for name, cluster in clusters.items()
            if config.clusters[name].register_outside_jobs
        }
        self._ticks = {
            name: Tick(config, cluster, jobmap, self.submitter, credit_check, clock, registrars.get(name))
            for name, cluster in clusters.items()
        }
        self.last_tick: dict[str, float] = {}
        """When each cluster last gave a complete answer (epoch seconds)."""
        self._clock = clock
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the loops."""
        for name in self._clusters:
            await self._jobmap.call(JobMap.cluster, name)
        loops: list[Coroutine[Any, Any, None]] = [self.delivery.run()]
        if self._orphans:
            loops.append(self._orphans.run())
        if self._config.core.register_products:
            loops.append(Registration(self._config, TodaysCore(self._core)).run())
        for name in self._clusters:
            loops += [self._follow(name), self._refresh_limits(name)]
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def close(self) -> None:
        """Stop the loops; whatever they were at goes on at the next start."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.submitter.close()
        for tick in self._ticks.values():
            await tick.close()

    def hurry(self) -> None:
        """Bring the next tick of every cluster forward."""
        for event in self._hurry.values():
            event.set()

    def hurry_and_tell(self) -> None:
        """Bring the next tick forward, and deliver what the outbox holds."""
        self.hurry()
        self.delivery.wake()

    def seconds_since_tick(self, cluster: str) -> float | None:
        """Return how long ago a cluster last gave a complete answer; None when it has not yet."""
        last = self.last_tick.get(cluster)
        return None if last is None else self._clock() - last

    async def _follow(self, name: str) -> None:
        while True:
            self._hurry[name].clear()
            try:
                await self._ticks[name].run()
                self.last_tick[name] = self._clock()
            except ClusterUnavailable as error:
                log.warning("tick without an answer", cluster=name, reason=str(error))
            except Exception:
                log.exception("tick failed", cluster=name)
            self.delivery.wake()
            await asyncio.sleep(min(SHORTEST_PAUSE_SECONDS, self._config.tracker.interval_seconds))
            rest = self._config.tracker.interval_seconds - SHORTEST_PAUSE_SECONDS
            await _wait(self._hurry[name], rest * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load

    async def _refresh_limits(self, name: str) -> None:
        while True:
            try:
                await self.limits[name].fresh()
            except ClusterUnavailable as error:
                log.warning("limits not read", cluster=name, reason=str(error))
            except Exception:
                log.exception("limits not read", cluster=name)
            await asyncio.sleep(min(5.0, self._config.tracker.limits_interval_seconds))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
    except TimeoutError:
        return
