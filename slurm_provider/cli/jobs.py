"""`jobs ls` and `jobs show`: what the job map knows."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from slurm_provider.cli.common import (
    DEFAULT_PATH,
    AsJson,
    ConfigPath,
    console,
    fail,
    open_jobmap,
    read_config,
)

COLUMNS = ("job_id", "state", "slurm_id", "user", "local_user", "node_list", "submitted", "product")

app = typer.Typer(no_args_is_help=True, help="The jobs in the job map.")


@app.command()
def ls(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """List all jobs, newest first."""
    jobmap = open_jobmap(read_config(config))
    rows = jobmap.overview()
    if as_json:
        print_json(rows)
    else:
        _print_table(rows, COLUMNS)


@app.command()
def show(
    job_id: Annotated[str, typer.Argument(help="UCloud's id of the job.")],
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Show one job: its state, attempts, charges, and what Core was told, in order."""
    jobmap = open_jobmap(read_config(config))
    rows = jobmap.overview(job_id)
    if not rows:
        fail(f"the job map has no job '{job_id}'; `slurm-provider jobs ls` lists all that it has")
    history = jobmap.history(job_id)
    if as_json:
        print_json({**rows[0], **history})
        return
    for name, value in rows[0].items():
        console.print(Text.assemble((f"{name:16}", "bold"), " ", "" if value is None else str(value)))
    for table, columns in {
        "attempts": ("slurm_id", "state", "elapsed_seconds", "exit_code", "exit_signal", "node_list"),
        "charges": ("charge_id", "from_unit", "to_unit", "periods"),
    }.items():
        if history[table]:
            console.print(f"\n{table}", style="bold")
            _print_table(history[table], columns)
    console.print("\ntold to Core", style="bold")
    for item in history["outbox"]:
        status = "delivered" if item["delivered_at"] else "refused" if item["refused_at"] else "waiting"
        reason = f" ({item['last_error']})" if item["last_error"] else ""
        console.print(f"{status:10} {item['kind']:7} {said(item['body'])}{reason}", highlight=False)


def said(body: dict[str, Any]) -> str:
    """Return the fields of an update, a charge or a total that say something."""
    inner = body.get("update") or {name: value for name, value in body.items() if name != "id"}
    return ", ".join(f"{name}={value}" for name, value in inner.items() if value not in (None, 0))


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    typer.echo(json.dumps(value, indent=2))


def _print_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(*columns, box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    console.print(table)
