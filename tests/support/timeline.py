"""What happens between Core, the provider and Slurm, told in the order of time, for scripts/demo."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.support.stack import Stack

Json = dict[str, Any]
FINAL_STATES = ("SUCCESS", "FAILURE", "EXPIRED")
NOISE = (
    "--noheader",
    "--parsable2",
    "--readonly",
    "--oneliner",
    "--array",
    "--delimiter=",
    "--format=",
    "format=",
)
STYLES = {"Core → façade": "cyan", "user → Core": "cyan", "façade → Core": "green"}


class JobFailed(Exception):
    """A job of the story did not end in success."""


@dataclass(frozen=True)
class Event:
    """A line of the story; `at` is epoch seconds, `count` how often the same happened in a row."""

    at: float
    who: str
    what: str
    result: str = ""
    bad: bool = False
    count: int = 1


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
    """Merges what Core has sent and received with the two programs' logs."""

    def __init__(self, console: Console, stack: Stack, start: float) -> None:
        self.commands = 0
        self.folders: dict[str, Path] = {}
        self._console = console
        self._stack = stack
        self._start = start
        self._sidecar = LogFile(stack.sidecar.log_path)
        self._facade = LogFile(stack.facade.log_path)
        self._received = self._sent = 0

    async def until_success(self, job: str, timeout: float = 60) -> None:
        """Tell what happens until Core has accepted the end of a job.

        Raises JobFailed for an end that is not SUCCESS, and TimeoutError.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    record = await self._stack.core.wait(
                        since=self._received, timeout=timeout, accepted=False
                    )
                    await self.catch_up()
                    for update in _updates_of(record, job):
                        if update.get("state") == "SUCCESS":
                            return
                        if update.get("state") in FINAL_STATES:
                            raise JobFailed(
                                f"the job {job} ended as {update['state']}: {update.get('status')}"
                            )
        except TimeoutError as error:
            raise TimeoutError(
                f"Core was not told within {timeout:g} s that the job {job} has ended"
            ) from error

    async def catch_up(self) -> None:
        """Tell all that is new."""
        sent = await self._stack.core.sent(since=self._sent)
        received = await self._stack.core.received(since=self._received)
        self._sent += len(sent)
        self._received += len(received)
        events = [_call_in(record) for record in sent]
        events += [_call_out(record) for record in received]
        events += [event for line in self._facade.news() if (event := _facade_event(line))]
        events += [event for line in self._sidecar.news() if (event := _sidecar_event(line))]
        self.commands += sum(event.who.endswith("Slurm") for event in events)
        self._note_folders(received)
        for event in _collapsed(sorted(events, key=lambda event: event.at)):
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Print one event."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=8, justify="right")
        table.add_column(width=16)
        table.add_column(ratio=1)
        table.add_column(no_wrap=True, justify="right")
        style = "red" if event.bad else STYLES.get(event.who, "dim")
        times = f" × {event.count}" if event.count > 1 else ""
        clock = f"{max(0, event.at - self._start):.2f} s"
        what = Text(event.what + times, style if event.bad or style == "dim" else "")
        table.add_row(Text(clock, "dim"), Text(event.who, style), what, Text(event.result, style))
        self._console.print(table)

    def user_calls(self, what: str) -> None:
        """Tell what a user of the portal does now."""
        self.tell(Event(time.time(), "user → Core", what))

    def _note_folders(self, received: Iterable[Json]) -> None:
        for record in received:
            for item in _items(record):
                if folder := (item.get("update") or {}).get("outputFolder"):
                    self.folders[item["id"]] = self._stack.folder / "drives" / folder.lstrip("/")


def _items(record: Json) -> list[Json]:
    body = record.get("body")
    return list(body.get("items") or []) if isinstance(body, dict) else []


def _updates_of(record: Json, job: str) -> Iterator[Json]:
    if record["path"].endswith("/control/update") and record["status"] == 200:
        yield from (item["update"] for item in _items(record) if item["id"] == job)


def _call_in(record: Json) -> Event:
    what = f"{record['method']} {record['path']}"
    if record["method"] == "POST" and record["path"].endswith("/jobs"):
        what += "".join(map(described, _items(record)))
    return Event(record["time"] / 1000 - record["seconds"], "Core → façade", what)


def described(job: Json) -> str:
    """Return what matters of a Job, as lines."""
    specification = job["specification"]
    application, duration = specification["application"], specification["timeAllocation"]
    values = {name: value["value"] for name, value in specification["parameters"].items()}
    texts = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    ]
    replicas = specification["replicas"]
    facts = {
        "id": f"{job['id']}, owner {job['owner']['createdBy']}",
        "application": f"{application['name']} {application['version']}",
        "parameters": "\n".join(texts),
        "product": f"{specification['product']['id']}, {replicas} replica{'s' * (replicas > 1)}",
        "time": " ".join(f"{number} {unit}" for unit, number in duration.items() if number),
    }
    indent = "\n" + " " * 15
    return "".join(f"\n  {name:12} {value.replace(chr(10), indent)}" for name, value in facts.items())


def _call_out(record: Json) -> Event:
    verb = record["path"].rpartition("/")[2]
    what = "; ".join(_said(verb, item) for item in _items(record))
    reply = record.get("reply") or {}
    if record["status"] != 200:
        result = f"{record['status']} {reply.get('why', '')}"
    elif verb in ("chargeCredits", "checkCredits"):
        result = "insufficient funds" if reply.get("insufficientFunds") else "funds suffice"
    else:
        result = "ok"
    return Event(record["time"] / 1000, "façade → Core", what, result, record["status"] != 200)


def _said(verb: str, item: Json) -> str:
    if verb == "update":
        update = item["update"]
        texts = [update.get("state"), update.get("status")]
        return "update " + ": ".join(text for text in texts if text)
    if verb in ("chargeCredits", "checkCredits"):
        return f"{verb} {amount(item['units'], item['periods'])}"
    return "refresh: an access token for the refresh token" if verb == "refresh" else verb


def amount(units: int, periods: int) -> str:
    """Return units × periods in words; a unit is a minute here, and periods are replicas."""
    return f"{units} minute{'s' * (units != 1)} × {periods} replica{'s' * (periods != 1)}"


def _sidecar_event(line: Json) -> Event | None:
    if line["event"] != "slurm command":
        return _trouble(line, "sidecar")
    code, user = line["returncode"], line.get("local_user", "operator")
    result = f"{'no answer' if code is None else f'rc {code}'}, {_ms(line['seconds'])}{_mark(line)}"
    what = shortened(line["argv"])
    if code != 0:
        what += f"\n{line['stderr'][:200]}"
    return Event(_at(line), f"{user} → Slurm", what, result, code != 0)


def _facade_event(line: Json) -> Event | None:
    if line["event"] != "call":
        return _trouble(line, "façade")
    what = f"answer to {line['method']} {line['path']}"
    result = f"{line['status']}, {_ms(line['seconds'])}{_mark(line)}"
    return Event(_at(line), "façade → Core", what, result, line["status"] >= 400)


def _trouble(line: Json, program: str) -> Event | None:
    if line.get("level") in ("debug", "info"):
        return None
    return Event(
        _at(line), program, f"{line['event']}: {line.get('reason') or line.get('why') or ''}", bad=True
    )


def _at(line: Json) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _mark(line: Json) -> str:
    return f" #{line['request_id'][:4]}" if line.get("request_id") else ""


def shortened(argv: list[str]) -> str:
    """Return a command line without what a reader can do without; … stands for that."""
    words = [word for word in argv if not word.startswith(NOISE)]
    short = [_shorter(word) for word in words]
    return " ".join(short if words == argv else [*short, "…"])


def _shorter(word: str) -> str:
    option, equals, value = word.partition("=")
    if option == "--name":
        return f"{option}={value[: value.rfind('-')]}-…"
    if option == "--starttime":
        return f"{option}=…"
    if word.startswith("/"):
        return "…/" + "/".join(word.split("/")[-3:])
    return f"{option}{equals}{value}"


def _collapsed(events: Iterable[Event]) -> list[Event]:
    """Make one of the queries of Slurm that repeat between two other events."""
    kept: list[Event] = []
    run: dict[str, int] = {}
    for event in events:
        if event.who != "operator → Slurm" or event.bad:
            run = {}
        elif (place := run.get(event.what)) is not None:
            first = kept[place]
            kept[place] = replace(
                first, count=first.count + 1, result=event.result.partition(" #")[0] + " each"
            )
            continue
        else:
            run[event.what] = len(kept)
        kept.append(event)
    return kept
