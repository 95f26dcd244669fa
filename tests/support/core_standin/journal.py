"""What was said on the wire, in order, and what was wrong with it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from .wire import JsonObject, now_ms


class Journal:
    """Calls received from the provider, calls sent to it, and the provider's breaches of the protocol."""

    def __init__(self, record_file: Path | None = None) -> None:
        self.received: list[JsonObject] = []
        self.sent: list[JsonObject] = []
        self.violations: list[JsonObject] = []
        self._record_file = record_file
        self._news = asyncio.Condition()

    async def add_received(self, record: JsonObject) -> None:
        """Number and keep a call from the provider, and wake those who wait for one."""
        entry = {"seq": len(self.received) + 1, "time": now_ms()} | record
        self.received.append(entry)
        if self._record_file is not None:
            with self._record_file.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        async with self._news:
            self._news.notify_all()

    def add_sent(self, record: JsonObject) -> None:
        """Number and keep a call to the provider."""
        self.sent.append({"seq": len(self.sent) + 1, "time": now_ms()} | record)

    def violation(self, what: str, where: str, detail: object = None) -> None:
        """Note something that a real Core would choke on, lose or misread."""
        self.violations.append({"time": now_ms(), "what": what, "where": where, "detail": detail})

    async def wait(
        self, matches: Callable[[JsonObject], bool], since: int, timeout_seconds: float
    ) -> JsonObject | None:
        """The first matching call after `since`, as soon as there is one; None at the deadline."""
        try:
            async with asyncio.timeout(timeout_seconds), self._news:
                seen = since
                while True:
                    for record in self.received[seen:]:
                        if matches(record):
                            return record
                    seen = max(seen, len(self.received))
                    await self._news.wait()
        except TimeoutError:
            return None

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which is asked after each call received."""
        async with self._news:
            await self._news.wait_for(holds)


def path_matches(path: str, wanted: str | None) -> bool:
    """Whether a path is the wanted one or ends with it, in whole segments (`control/update`, `update`)."""
    return wanted is None or path == wanted or path.endswith("/" + wanted.lstrip("/"))


def matching_item(
    record: JsonObject, job: str | None, state: str | None, status: str | None
) -> JsonObject | None:
    """The first item of a recorded bulk call with this job, state and (part of a) text; None without one."""
    body = record.get("body")
    items = body.get("items") if isinstance(body, dict) else None
    for item in items if isinstance(items, list) else []:
        update = item.get("update") or {}
        if (
            (job is None or item.get("id") == job)
            and (state is None or update.get("state") == state)
            and (status is None or status in (update.get("status") or ""))
        ):
            return dict(item)
    return None
