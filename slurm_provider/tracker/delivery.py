"""What the outbox holds is told to Core: in order for each job, in bulk, for as long as it takes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain

import structlog

from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable, TodaysCore
from slurm_provider.jobmap import Door, JobMap, Outbox, OutboxItem, OutboxKind
from slurm_provider.tracker.credits import out_of_credits
from slurm_provider.ucloud.control import UsageItem

log = structlog.get_logger()

ITEMS_IN_A_CALL = 100
ITEMS_IN_A_ROUND = 2000
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 5.0
TRIES_TOGETHER = 3
"""Tries after which it may be a job's own fault that Core does not answer, and the job goes by itself."""
FAILURES_APART = 3
"""Jobs that fail by themselves before the others of their call are left for later: Core may be away."""

Call = Callable[[Sequence[OutboxItem]], Awaitable[None]]


class Delivery:
    """Delivers the outbox. `cancel_soon` is called when Core says that jobs cannot be paid.

    `refused` is told of each item that Core will never take.

    `clock` gives seconds from any beginning.
    """

    def __init__(
        self,
        jobmap: Door,
        core: CoreClient,
        cancel_soon: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        refused: Callable[[OutboxItem, CoreRefused], Awaitable[None]] | None = None,
    ) -> None:
        self._jobmap = jobmap
        self._core = core
        self._cancel_soon = cancel_soon
        self._refused = refused
        self._clock = clock
        self._news = asyncio.Event()
        self._aside: dict[str, float] = {}
        """Jobs on which Core has failed again and again, and when they are tried next."""

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
                pause = FIRST_PAUSE_SECONDS
                await self._wait_for_news()
                continue
            await asyncio.sleep(_jittered(pause))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return

    async def deliver(self) -> bool:
        """Deliver what can go now: of each job, the oldest items of one kind. Return whether any went.

        One of Core's calls failing does not keep the other from being made; CoreUnavailable is
        raised after both were tried. A job that has failed TRIES_TOGETHER times holds no other: it
        goes after them, by itself, and raises nothing.
        """
        went, failures = False, []
        calls = (
            (OutboxKind.CHARGE, self._charge),
            (OutboxKind.USAGE, self._usage),
            (OutboxKind.UPDATE, self._update),
            (OutboxKind.LINK, self._update_links),
        )
        for kind, call in calls:
            try:
                went |= await self._deliver_kind(kind, call)
            except CoreUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return went

    async def _deliver_kind(self, kind: OutboxKind, call: Call) -> bool:
        now = self._clock()
        self._aside = {job_id: until for job_id, until in self._aside.items() if until > now}
        items = await self._jobmap.outbox(Outbox.deliverable, kind, ITEMS_IN_A_ROUND, list(self._aside))
        went = False
        jobs = _by_job(items)
        for batch in _batches(job for job in jobs if _tries(job) < TRIES_TOGETHER):
            await self._send(_flat(batch), call)
            went = True
        stubborn = sorted((job for job in jobs if _tries(job) >= TRIES_TOGETHER), key=_tries)
        for batch in _batches(stubborn):
            went |= await self._send_stubborn(batch, call)
        return went

    async def _send(self, items: Sequence[OutboxItem], call: Call) -> None:
        try:
            await call(items)
        except CoreUnavailable as error:
            await self._jobmap.outbox(Outbox.not_delivered, items, str(error))
            raise
        except CoreRefused as error:
            await self._send_apart(items, call, error)
        else:
            await self._jobmap.outbox(Outbox.delivered, items)

    async def _send_apart(self, items: Sequence[OutboxItem], call: Call, error: CoreRefused) -> None:
        """Judge each item by itself: Core refuses a whole batch for one id that it does not know."""
        if len(items) > 1:
            for item in items:
                await self._send([item], call)
            return
        log.warning("refused by Core", job_id=items[0].job_id, kind=items[0].kind, reason=str(error))
        await self._jobmap.outbox(Outbox.refused, items, str(error))
        if self._refused is not None:
            await self._refused(items[0], error)

    async def _send_stubborn(self, jobs: Sequence[Sequence[OutboxItem]], call: Call) -> bool:
        """Send jobs that have failed before: together, else each by itself. Return whether any went."""
        if len(jobs) > 1 and await self._all_went(_flat(jobs), call):
            return True
        went = failures = 0
        for job in jobs:
            if failures < FAILURES_APART:
                try:
                    await self._send(job, call)
                except CoreUnavailable as error:
                    failures += 1
                    log.warning(
                        "not delivered", job_id=job[0].job_id, tries=_tries(job) + 1, reason=str(error)
                    )
                else:
                    went += 1
                    continue
            self._set_aside(job)
        return went > 0

    async def _all_went(self, items: Sequence[OutboxItem], call: Call) -> bool:
        try:
            await call(items)
        except (CoreUnavailable, CoreRefused):
            return False
        await self._jobmap.outbox(Outbox.delivered, items)
        return True

    def _set_aside(self, job: Sequence[OutboxItem]) -> None:
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(_tries(job), 10), LONGEST_PAUSE_SECONDS)
        self._aside[job[0].job_id] = self._clock() + _jittered(pause)

    async def _update(self, items: Sequence[OutboxItem]) -> None:
        await self._jobmap.call(JobMap.offer_restarts, items)
        await self._core.update([item.body for item in items])

    async def _update_links(self, items: Sequence[OutboxItem]) -> None:
        await self._core.update_links([item.body for item in items])

    async def _charge(self, items: Sequence[OutboxItem]) -> None:
        answer = await self._core.charge([item.body for item in items])
        for job_id in answer.without_funds:
            await self._end_unpaid(job_id)

    async def _usage(self, items: Sequence[OutboxItem]) -> None:
        totals = latest_totals(items)
        is_open = await TodaysCore(self._core).report_usage([item.body for item in totals])
        for item, has_funds in zip(totals, is_open, strict=True):
            if not has_funds:
                await self._end_unpaid(item.job_id)

    async def _end_unpaid(self, job_id: str) -> None:
        log.warning("out of credits", job_id=job_id)
        await self._jobmap.call(JobMap.change_job, job_id, out_of_credits)
        self._cancel_soon()


def latest_totals(items: Iterable[OutboxItem]) -> list[OutboxItem]:
    """Return the last total of each scope: so a call that is repeated says nothing smaller than it did."""
    latest = {UsageItem.model_validate_json(item.body).description.scope: item for item in items}
    return list(latest.values())


def _by_job(items: Iterable[OutboxItem]) -> list[list[OutboxItem]]:
    """Return the oldest items of each job, no more than go into one call."""
    jobs: dict[str, list[OutboxItem]] = {}
    for item in items:
        jobs.setdefault(item.job_id, []).append(item)
    return [own[:ITEMS_IN_A_CALL] for own in jobs.values()]


def _batches(jobs: Iterable[list[OutboxItem]]) -> Iterator[list[list[OutboxItem]]]:
    """Put whole jobs together into calls."""
    batch: list[list[OutboxItem]] = []
    for job in jobs:
        if batch and sum(map(len, batch)) + len(job) > ITEMS_IN_A_CALL:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _flat(jobs: Iterable[Sequence[OutboxItem]]) -> list[OutboxItem]:
    return list(chain.from_iterable(jobs))


def _tries(job: Sequence[OutboxItem]) -> int:
    return max(item.tries for item in job)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, no secret
