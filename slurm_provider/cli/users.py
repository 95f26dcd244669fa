"""`users map|ls|rm`: which local user and which account a UCloud user or project means."""

import asyncio
from dataclasses import asdict
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
from slurm_provider.cli.tables import print_json, shown
from slurm_provider.config import FacadeConfig
from slurm_provider.core import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.jobmap import UserMapping

app = typer.Typer(no_args_is_help=True, help="UCloud users and projects, and who they are on the cluster.")


@app.command("map")
def map_(
    name: Annotated[str, typer.Argument(help="A UCloud user, or the id of a project with --project.")],
    local_user: Annotated[str | None, typer.Argument(help="The local user of a UCloud user.")] = None,
    account: Annotated[
        str, typer.Option(help="The Slurm account: of the project, or of the user's jobs outside projects.")
    ] = "",
    project: Annotated[bool, typer.Option("--project", help="NAME is a project.")] = False,
    config: ConfigPath = DEFAULT_PATH,
) -> None:
    """Map a UCloud user to a local user, or a project to a Slurm account."""
    facade = read_config(config)
    jobmap = open_jobmap(facade)
    if project:
        if not account or local_user:
            fail("a project is mapped by `users map --project PROJECT --account ACCOUNT`")
        jobmap.map_project(name, account)
        console.print(shown(f"jobs of the project {name} are charged to the account {account}"))
    else:
        if not local_user:
            fail("a user is mapped by `users map USER LOCAL_USER [--account ACCOUNT]`")
        jobmap.map_user(UserMapping(name, local_user, account))
        where = f"the account {account}" if account else "the default account"
        console.print(
            shown(f"{name} is the local user {local_user}; jobs outside projects are charged to {where}")
        )
        _tell_core(facade, name, mapped=True)


@app.command()
def ls(config: ConfigPath = DEFAULT_PATH, as_json: AsJson = False) -> None:
    """List all mapped users and projects."""
    users, projects = open_jobmap(read_config(config)).mappings()
    if as_json:
        print_json({"users": [asdict(user) for user in users], "projects": projects})
        return
    table = Table("user or project", "local user", "account", box=None)
    for user in users:
        table.add_row(*map(shown, (user.ucloud_user, user.local_user, user.account or "(default)")))
    for name, account in projects.items():
        table.add_row(shown(name), "", shown(account))
    console.print(table)


@app.command()
def rm(
    name: Annotated[str, typer.Argument(help="A UCloud user or the id of a project.")],
    config: ConfigPath = DEFAULT_PATH,
) -> None:
    """Remove a mapping, and close the user's sessions. Jobs that run go on as they began."""
    facade = read_config(config)
    jobmap = open_jobmap(facade)
    if any(user.ucloud_user == name for user in jobmap.mappings()[0]):
        _tell_core(facade, name, mapped=False)
    closed = jobmap.unmap(name)
    if closed is None:
        fail(f"'{name}' is not mapped; `slurm-provider users ls` lists who is")
    console.print(shown(f"{name} is no longer mapped"))
    if closed:
        sessions = "1 session is" if closed == 1 else f"{closed} sessions are"
        console.print(f"{sessions} closed: whoever is connected is cut off within a second")


def _tell_core(config: FacadeConfig, name: str, *, mapped: bool) -> None:
    """Tell Core who is connected, where users connect ([connect]); else Core takes everybody for it."""
    if config.connect is None:
        return
    try:
        asyncio.run(_connection(config, name, mapped=mapped))
    except (CoreUnavailable, CoreRefused) as error:
        fail(f"{name}: UCloud could not be told: {error}; run the command again")


async def _connection(config: FacadeConfig, name: str, *, mapped: bool) -> None:
    async with CoreClient(config.core) as core:
        await (core.approve_connection if mapped else core.clear_connection)(name)
