"""What the outbox holds is told to Core: in order for each job, in bulk, for as long as it takes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

import structlog

from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import Door, JobMap, OutboxItem, OutboxKind
from slurm_provider.tracker.credits import out_of_credits

log = structlog.get_logger()

ITEMS_IN_A_CALL = 100
ITEMS_IN_A_ROUND = 2000
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 5.0


class Delivery:
    """Delivers the outbox. `cancel_soon` is called when Core says that jobs cannot be paid."""

    def __init__(self, jobmap: Door, core: CoreClient, cancel_soon: Callable[[], None]) -> None:
        self._jobmap = jobmap
        self._core = core
        self._cancel_soon = cancel_soon
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to deliver."""
        self._news.set()

    async def run(self) -> None:
        """Deliver for ever, with growing, jittered pauses while Core does not answer."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._news.clear()
            try:
                while await self.deliver():
                    pause = FIRST_PAUSE_SECONDS
            except CoreUnavailable as error:
                log.warning("Core not reached", reason=str(error), next_try_seconds=round(pause, 1))
            except Exception:
                log.exception("delivery failed", next_try_seconds=round(pause, 1))
            else:
                await self._wait_for_news()
                continue
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, no secret
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return

    async def deliver(self) -> bool:
        """Deliver what can go now: of each job, the oldest items of one kind. Return whether there were any.

        One of Core's calls failing does not keep the other from being made; CoreUnavailable is
        raised after both were tried.
        """
        items = await self._jobmap.call(JobMap.undelivered, ITEMS_IN_A_ROUND)
        heads = _heads(items)
        failures = []
        for kind, call in ((OutboxKind.CHARGE, self._charge), (OutboxKind.UPDATE, self._update)):
            batch = [item for head in heads if head[0].kind is kind for item in head]
            try:
                for start in range(0, len(batch), ITEMS_IN_A_CALL):
                    await self._send(batch[start : start + ITEMS_IN_A_CALL], call)
            except CoreUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return bool(items)

    async def _send(
        self, batch: Sequence[OutboxItem], call: Callable[[Sequence[OutboxItem]], Awaitable[None]]
    ) -> None:
        try:
            await call(batch)
        except CoreUnavailable as error:
            await self._jobmap.call(JobMap.not_delivered, batch, str(error))
            raise
        except CoreRefused as error:
            await self._send_apart(batch, call, error)
        else:
            await self._jobmap.call(JobMap.delivered, batch)

    async def _send_apart(
        self,
        batch: Sequence[OutboxItem],
        call: Callable[[Sequence[OutboxItem]], Awaitable[None]],
        error: CoreRefused,
    ) -> None:
        """Judge each item by itself: Core refuses a whole batch for one id that it does not know."""
        if len(batch) > 1:
            for item in batch:
                await self._send([item], call)
            return
        log.warning("refused by Core", job_id=batch[0].job_id, kind=batch[0].kind, reason=str(error))
        await self._jobmap.call(JobMap.refused, batch, str(error))

    async def _update(self, batch: Sequence[OutboxItem]) -> None:
        await self._core.update([item.body for item in batch])

    async def _charge(self, batch: Sequence[OutboxItem]) -> None:
        answer = await self._core.charge([item.body for item in batch])
        for job_id in answer.without_funds:
            log.warning("out of credits", job_id=job_id)
            await self._jobmap.call(JobMap.change_job, job_id, out_of_credits)
            self._cancel_soon()


def _heads(items: Sequence[OutboxItem]) -> list[list[OutboxItem]]:
    """Return the oldest items of each job, up to the first of another kind."""
    by_job: dict[str, list[OutboxItem]] = {}
    for item in items:
        by_job.setdefault(item.job_id, []).append(item)
    return [list(takewhile(lambda item: item.kind is own[0].kind, own)) for own in by_job.values()]  # noqa: B023
