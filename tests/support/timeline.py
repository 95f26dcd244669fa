"""For scripts/demo: what happens between Core, the provider and Slurm, told in the order of time."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tests.support.events import Event, Json, call_in, call_out, items_of, of_facade, of_sidecar, summary
from tests.support.stack import Stack

STYLES = {"user → Core": "cyan", "Core → façade": "cyan", "façade → Core": "green"}
FINAL_STATES = ("SUCCESS", "FAILURE", "EXPIRED")


class StoryFailed(Exception):
    """Something in the story did not go as it should; the message says what."""


class Page:
    """What the reader sees; all but titles is indented."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.start = time.time()

    def title(self, number: int, text: str) -> None:
        """Begin a part."""
        self.console.print(Text(f"\n{number}  {text}\n", "bold"))

    def note(self, text: str) -> None:
        """Print what only explains."""
        self.show(Text(f"\n{text}", "dim"))

    def show(self, what: RenderableType) -> None:
        """Print something; of a text without the spaces at its end."""
        what = what.rstrip() if isinstance(what, str) else what
        self.console.print(Padding(what, (0, 0, 0, 2), expand=False), markup=False)

    def event(self, event: Event) -> None:
        """Print an event, with its time since the start."""
        table = Table.grid(padding=(0, 1), expand=bool(event.result))
        table.add_column(width=8, justify="right")
        table.add_column(width=16)
        table.add_column(ratio=1 if event.result else None)
        table.add_column(no_wrap=True, justify="right")
        style = "red" if event.bad else STYLES.get(event.who, "dim")
        times = f" × {event.count}" if event.count > 1 else ""
        clock = f"{max(0, event.at - self.start):.2f} s"
        what = Text(event.what + times, style if style in ("red", "dim") else "")
        table.add_row(Text(clock, "dim"), Text(event.who, style), what, Text(event.result, style))
        self.console.print(table)

    def failure(self, error: Exception, logs: Path) -> None:
        """Say what went wrong, and show the ends of the programs' logs."""
        self.console.print(Text(f"\nThe demo failed: {str(error)[:500] or type(error).__name__}", "bold red"))
        for path in sorted(logs.glob("*.log")):
            self.console.print(Text(f"\nThe end of {path}:", "bold"))
            for line in path.read_text(errors="replace").splitlines()[-8:]:
                self.console.print(Text(summary(line)[:300], "dim"), soft_wrap=True)


class LogFile:
    """A program's log of JSON lines, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> list[Json]:
        """Return the lines that are new since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


class Timeline:
    """Merges what Core's stand-in has sent and received with the two programs' logs."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.commands = 0
        self.folders: dict[str, Path] = {}
        self._page = page
        self._stack = stack
        self._sidecar = LogFile(stack.sidecar.log_path)
        self._facade = LogFile(stack.facade.log_path)
        self._received = self._sent = 0

    async def until_success(self, job: str, seconds: float = 60) -> None:
        """Tell what happens until Core has accepted that a job has ended well.

        Raises StoryFailed for another end of it or of a program, and TimeoutError for none.
        """
        seen = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    record = await self._next_call(seen)
                    await self.catch_up()
                    if record:
                        seen = record["seq"]
                        if _ends_well(record, job):
                            return
                    self._check_programs()
        except TimeoutError as error:
            await self.catch_up()
            raise TimeoutError(f"Core was not told the end of the job {job} within {seconds:g} s") from error

    async def _next_call(self, seen: int) -> Json | None:
        try:
            return await self._stack.core.wait(since=seen, timeout=5, accepted=False)
        except TimeoutError:
            return None

    def _check_programs(self) -> None:
        for name, program in (("façade", self._stack.facade), ("sidecar", self._stack.sidecar)):
            if not program.running:
                raise StoryFailed(f"the {name} has ended")

    async def catch_up(self) -> None:
        """Tell all that is new."""
        sent = await self._stack.core.sent(since=self._sent)
        received = await self._stack.core.received(since=self._received)
        self._sent += len(sent)
        self._received += len(received)
        self._note_folders(received)
        events = [*map(call_in, sent), *map(call_out, received)]
        events += filter(None, map(of_facade, self._facade.news()))
        events += filter(None, map(of_sidecar, self._sidecar.news()))
        self.commands += sum(event.who.endswith("Slurm") for event in events)
        for event in collapsed(sorted(events, key=lambda event: event.at)):
            self._page.event(event)

    def _note_folders(self, received: Iterable[Json]) -> None:
        for record in received:
            for item in items_of(record):
                if folder := (item.get("update") or {}).get("outputFolder"):
                    self.folders[item["id"]] = self._stack.folder / "drives" / folder.lstrip("/")


def _ends_well(record: Json, job: str) -> bool:
    for update in _updates(record, job):
        if update.get("state") == "SUCCESS":
            return True
        if update.get("state") in FINAL_STATES:
            raise StoryFailed(f"the job {job} ended as {update['state']}: {update.get('status')}")
    return False


def _updates(record: Json, job: str) -> Iterator[Json]:
    if record["path"].endswith("/control/update") and record["status"] == 200:
        yield from (item["update"] for item in items_of(record) if item["id"] == job)


def collapsed(events: Iterable[Event]) -> list[Event]:
    """Make one of the Slurm queries that are repeated between two other events."""
    kept: list[Event] = []
    places: dict[str, int] = {}
    for event in events:
        if event.who != "operator → Slurm" or event.bad:
            places.clear()
        elif event.what in places:
            first = kept[places[event.what]]
            cost = first.result.partition(" #")[0].removesuffix(" each")
            kept[places[event.what]] = replace(first, count=first.count + 1, result=f"{cost} each")
            continue
        else:
            places[event.what] = len(kept)
        kept.append(event)
    return kept
