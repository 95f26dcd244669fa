"""`jobs ls` and `jobs show`: what the job map knows."""

from typing import Annotated

import typer
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
from slurm_provider.cli.tables import print_json, print_table, said, shown

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
        print_table(rows, COLUMNS)


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
        console.print(Text.assemble((f"{name:16}", "bold"), " ", shown(value)))
    for table, columns in {
        "attempts": ("slurm_id", "state", "elapsed_seconds", "exit_code", "exit_signal", "node_list"),
        "charges": ("charge_id", "from_unit", "to_unit", "periods"),
    }.items():
        if history[table]:
            console.print(f"\n{table}", style="bold")
            print_table(history[table], columns)
    console.print("\ntold to Core", style="bold")
    for item in history["outbox"]:
        status = "delivered" if item["delivered_at"] else "refused" if item["refused_at"] else "waiting"
        reason = f" ({item['last_error']})" if item["last_error"] else ""
        told = f"{status:10} {item['kind']:7} {said(item['body'])}{reason}"
        console.print(shown(told), highlight=False)
