"""`sessions ls` and `sessions close`: who may use what runs in which job."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from slurm_provider.cli.common import (
    DEFAULT_PATH,
    AsJson,
    ConfigPath,
    console,
    fail,
    open_jobmap,
    read_config,
)
from slurm_provider.cli.tables import print_json, print_table

COLUMNS = ("number", "kind", "job_id", "rank", "user", "local_user", "opened", "used", "client", "until")

app = typer.Typer(no_args_is_help=True, help="Terminals, web applications and desktops of users.")


@app.command()
def ls(
    config: ConfigPath = DEFAULT_PATH,
    also_ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the sessions that let somebody in now, newest first."""
    rows = open_jobmap(read_config(config)).sessions.overview(also_ended=also_ended)
    if as_json:
        print_json(rows)
    else:
        print_table([_shown(row) for row in rows], (*COLUMNS, "ended") if also_ended else COLUMNS)


@app.command()
def close(
    number: Annotated[int | None, typer.Argument(help="The session's number in `sessions ls`.")] = None,
    job: Annotated[str | None, typer.Option(help="All sessions with this job.")] = None,
    user: Annotated[str | None, typer.Option(help="All sessions of this UCloud user.")] = None,
    config: ConfigPath = DEFAULT_PATH,
) -> None:
    """Close sessions: whoever is connected is cut off within a second, and terminals are ended."""
    if number is None and job is None and user is None:
        fail("say which sessions are to be closed: a number, --job or --user")
    jobmap = open_jobmap(read_config(config))
    closed = jobmap.sessions.close("the site has closed it", number=number, job_id=job, user=user)
    if not closed:
        fail("there is no such session, or it has been closed before; `sessions ls` lists those in force")
    console.print(f"{closed} closed")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "job_id": row["job_id"] or row["folder"],
        "user": row["ucloud_user"],
        "opened": _time(row["created_at"]),
        "used": _time(row["last_used_at"]),
        "until": _time(row["expires_at"]),
        "ended": row["close_reason"] and f"{_time(row['closed_at'])} {row['close_reason']}",
    }


def _time(epoch_seconds: int | None) -> str:
    if epoch_seconds is None:
        return ""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
