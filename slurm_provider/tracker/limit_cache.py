"""A cluster's limits, read now and then and kept in the job map for when Slurm is away."""

import asyncio
import time
from collections.abc import Callable

from google.protobuf import json_format

from slurm_provider.jobmap import Door, JobMap
from slurm_provider.rpc.cluster import Cluster
from slurm_provider.rpc.v1.queue_pb2 import Limits


class LimitCache:
    """The limits of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        jobmap: Door,
        max_age_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._jobmap = jobmap
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._limits: Limits | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def last_known(self) -> Limits | None:
        """Return the limits as last read, however long ago; None when they never were."""
        if self._limits is None:
            row = await self._jobmap.call(JobMap.cluster, self._cluster.name)
            self._limits = json_format.Parse(row.limits, Limits()) if row.limits else None
        return self._limits

    async def fresh(self) -> Limits:
        """Return the limits, read anew when they are old; raise ClusterUnavailable when that fails."""
        async with self._reading:
            if self._limits is None or self._clock() - self._read_at > self._max_age_seconds:
                self._limits = await self._cluster.limits()
                self._read_at = self._clock()
                text = json_format.MessageToJson(self._limits, indent=None)
                await self._jobmap.call(JobMap.set_limits, self._cluster.name, text)
            return self._limits
