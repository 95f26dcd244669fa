"""For scripts/demo: calls and log lines as events, in words for a reader."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = dict[str, Any]
NOISE = (
    "--noheader",
    "--parsable",
    "--readonly",
    "--oneliner",
    "--array",
    "--duplicates",
    "--delimiter=",
    "--starttime=",
    "--format=",
    "format=",
)


@dataclass(frozen=True)
class Event:
    """A line of the story; `at` is epoch seconds, `count` how often the same happened in a row."""

    at: float
    who: str
    what: str
    result: str = ""
    bad: bool = False
    count: int = 1


def items_of(record: Json) -> list[Json]:
    """Return the items of a recorded bulk call; none for another call."""
    body = record.get("body")
    return list(body.get("items") or []) if isinstance(body, dict) else []


# ---- what Core's stand-in has recorded


def call_in(record: Json) -> Event:
    """Return a call from Core; one that submits jobs shows what matters of them."""
    what = f"{record['method']} {record['path']}"
    if record["method"] == "POST" and record["path"].endswith("/jobs"):
        what = "\n".join([what, *map(described, items_of(record))])
    return Event(record["time"] / 1000 - record["seconds"], "Core → façade", what)


def described(job: Json) -> str:
    """Return what matters of a Job, as lines."""
    specification = job["specification"]
    application, replicas = specification["application"], specification["replicas"]
    values = {name: value["value"] for name, value in specification["parameters"].items()}
    texts = [f"{key}: {text if isinstance(text, str) else json.dumps(text)}" for key, text in values.items()]
    facts = {
        "id": f"{job['id']}, owner {job['owner']['createdBy']}",
        "application": f"{application['name']} {application['version']}",
        "parameters": "\n".join(texts),
        "product": f"{specification['product']['id']}, {_number(replicas, 'replica')}",
        "time": " ".join(
            _number(number, unit.rstrip("s"))
            for unit, number in specification["timeAllocation"].items()
            if number
        ),
    }
    indent = "\n" + " " * 14
    return "\n".join(f"  {name:11} " + text.replace("\n", indent) for name, text in facts.items())


def call_out(record: Json) -> Event:
    """Return a call to Core, with what Core made of it."""
    verb = record["path"].rpartition("/")[2]
    what = "\n".join(_said(verb, item) for item in items_of(record))
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
        texts = [item["update"].get("state"), item["update"].get("status")]
        return "update " + ": ".join(text for text in texts if text)
    if verb in ("chargeCredits", "checkCredits"):
        return f"{verb} {amount(item['units'], item['periods'])}"
    return "refresh: an access token for the refresh token" if verb == "refresh" else verb


def amount(units: int, periods: int) -> str:
    """Return units times periods in words; a unit is a minute here, and a period a replica."""
    return f"{_number(units, 'minute')} × {_number(periods, 'replica')}"


def _number(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


# ---- what the two programs have logged


def of_sidecar(line: Json) -> Event | None:
    """Return a Slurm command, or a warning; None for other lines."""
    if line["event"] != "slurm command":
        return _warning(line, "sidecar")
    code, user = line["returncode"], line.get("local_user", "operator")
    what = shortened(line["argv"])
    if code != 0:
        what += f"\n{line['stderr'][:200]}"
    result = f"{'no answer' if code is None else f'rc {code}'}, {_cost(line)}"
    return Event(_at(line), f"{user} → Slurm", what, result, code != 0)


def of_facade(line: Json) -> Event | None:
    """Return the answer to a call from Core, or a warning; None for other lines."""
    if line["event"] != "call":
        return _warning(line, "façade")
    what = f"answer to {line['method']} {line['path']}"
    return Event(_at(line), "façade → Core", what, f"{line['status']}, {_cost(line)}", line["status"] >= 400)


def _warning(line: Json, program: str) -> Event | None:
    if line.get("level") in ("debug", "info"):
        return None
    return Event(
        _at(line), program, f"{line['event']}: {line.get('reason') or line.get('why') or ''}", bad=True
    )


def _at(line: Json) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _cost(line: Json) -> str:
    mark = f" #{line['request_id'][:4]}" if line.get("request_id") else ""
    return f"{line['seconds'] * 1000:.0f} ms{mark}"


def summary(line: str) -> str:
    """Return a line of a log in less space; one that is no JSON, such as of a traceback, as it is."""
    if not line.startswith("{"):
        return line
    facts = json.loads(line)
    at, level, event = (str(facts.pop(key, "")) for key in ("timestamp", "level", "event"))
    if "argv" in facts:
        facts["argv"] = shortened(facts["argv"])
    rest = (f"{key}={value}" for key, value in facts.items() if value != "")
    return " ".join([at[11:23], level, event, *rest])


def shortened(argv: list[str]) -> str:
    """Return a command line without what a reader can do without; … stands for that."""
    words = [word for word in argv if argv[0] == "sbatch" or not word.startswith(NOISE)]
    short = [_shorter(word) for word in words]
    return " ".join(short if words == argv else [*short, "…"])


def _shorter(word: str) -> str:
    option, _, value = word.partition("=")
    if option == "--name":
        return f"{option}={value.rpartition('-')[0]}-…"
    return "…/" + "/".join(word.split("/")[-3:]) if word.startswith("/") else word
