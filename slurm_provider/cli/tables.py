"""How the commands show rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.table import Table

from slurm_provider.cli.common import console


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    typer.echo(json.dumps(value, indent=2))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print some columns of rows as a table."""
    table = Table(*columns, box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*(shown(row[column]) for column in columns))
    console.print(table)


def shown(value: Any) -> str:
    """Return a value as a terminal may get it: what is not printable could tell it to do things."""
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def said(body: dict[str, Any]) -> str:
    """Return the fields of an update, a charge or a total that say something."""
    inner = body.get("update") or {name: value for name, value in body.items() if name != "id"}
    return ", ".join(f"{name}={value}" for name, value in inner.items() if value not in (None, 0))
