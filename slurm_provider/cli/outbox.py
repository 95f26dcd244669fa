"""`outbox ls|retry|drop`: what Core has yet to be told, and what it would not hear."""

import json
from typing import Annotated

import typer
from rich.table import Table

from slurm_provider.cli.common import (
    DEFAULT_PATH,
    AsJson,
    ConfigPath,
    console,
    fail,
    open_jobmap,
    read_config,
)
from slurm_provider.cli.tables import print_json, said, shown
from slurm_provider.jobmap import JobMap

Ids = Annotated[list[int], typer.Argument(help="The items, as `outbox ls` numbers them.")]

app = typer.Typer(
    no_args_is_help=True, help="Updates and charges that Core has not taken: waiting, or refused for good."
)


@app.command()
def ls(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """List what waits to be told to Core, and what Core has refused, in order."""
    rows = _jobmap(config).outbox.overview()
    for row in rows:
        row["body"] = json.loads(row["body"])
    if as_json:
        print_json(rows)
        return
    table = Table("id", "job", "kind", "status", "tries", "created", "says", "last error", box=None)
    for row in rows:
        cells = (row["id"], row["job_id"], row["kind"], row["status"], row["tries"], row["created"])
        table.add_row(*map(shown, (*cells, said(row["body"]), row["last_error"])))
    console.print(table)


@app.command()
def retry(ids: Ids, config: ConfigPath = DEFAULT_PATH) -> None:
    """Send refused items again: the façade takes them up within seconds."""
    _report(ids, _jobmap(config).outbox.retry(ids), "sent again", "has not been refused")


@app.command()
def drop(ids: Ids, config: ConfigPath = DEFAULT_PATH) -> None:
    """Never send waiting items. Core then does not learn what they say; `retry` takes it back."""
    _report(ids, _jobmap(config).outbox.drop(ids), "dropped", "does not wait")


def _jobmap(config: ConfigPath) -> JobMap:
    return open_jobmap(read_config(config))


def _report(ids: list[int], changed: list[int], done: str, why_not: str) -> None:
    for number in changed:
        console.print(f"item {number} is {done}")
    if missing := [str(number) for number in ids if number not in changed]:
        fail(f"item {', '.join(missing)} {why_not}; `slurm-provider outbox ls` lists all")
