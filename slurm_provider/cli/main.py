"""The commands and their groups."""

import typer

from slurm_provider.cli import backup, charges, config, daemons, jobs, outbox, sessions, users

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Puts a Slurm cluster behind UCloud.",
)
app.command()(daemons.serve)
app.command()(daemons.sidecar)
app.command()(backup.backup)
app.add_typer(jobs.app, name="jobs")
app.add_typer(charges.app, name="charges")
app.add_typer(outbox.app, name="outbox")
app.add_typer(users.app, name="users")
app.add_typer(sessions.app, name="sessions")
app.add_typer(config.app, name="config")
