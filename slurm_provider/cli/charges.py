"""`charges audit`: is what was charged what Slurm says was used, and has Core taken it?"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import chain
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
from slurm_provider.jobmap import JobRow
from slurm_provider.rpc.cluster import Cluster, ClusterUnavailable
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord
from slurm_provider.tracker.audit import AuditLine, History, audit, slurm_ids

IDS_IN_A_CALL = 500
WHOLE_JOB = timedelta(days=365)
"""How long before the asked time a job that ended after it may have begun."""

app = typer.Typer(no_args_is_help=True, help="What jobs were charged.")


@app.callback()
def _group() -> None: ...


@app.command("audit")
def audit_(
    since: Annotated[
        datetime | None, typer.Option(help="Jobs that ended at or after this time (UTC), or still live.")
    ] = None,
    also_right: Annotated[bool, typer.Option("--all", help="Also what is as it should be.")] = False,
    config: ConfigPath = DEFAULT_PATH,
    as_json: AsJson = False,
) -> None:
    """Compare the ledger with Slurm's accounting and with what Core has taken; exit code 1 on a difference.

    A job that runs now may differ for a moment, until the next look at accounting.
    """
    begin = since.replace(tzinfo=UTC) if since else datetime.now(UTC) - timedelta(days=7)
    try:
        lines = asyncio.run(_audit(read_config(config), begin))
    except ClusterUnavailable as error:
        fail(f"Slurm's accounting cannot be read: {error}")
    shown = [line for line in lines if also_right or line.findings]
    if as_json:
        print_json([{**asdict(line), "findings": line.findings} for line in shown])
    else:
        _print(shown)
        console.print(f"{len(lines)} starts compared, {sum(bool(line.findings) for line in lines)} differ")
    if any(line.findings for line in lines):
        raise typer.Exit(1)


async def _audit(config: FacadeConfig, begin: datetime) -> list[AuditLine]:
    jobmap = open_jobmap(config)
    lines = []
    for name, section in config.clusters.items():
        jobs = jobmap.jobs_since(name, int(begin.timestamp()))
        histories = {job.job_id: jobmap.history(job.job_id) for job in jobs}
        cluster = Cluster(name, section)
        try:
            records = await _records(cluster, jobs, histories, begin)
        finally:
            await cluster.close()
        for job in jobs:
            history = histories[job.job_id]
            own = chain.from_iterable(records.get(slurm_id, ()) for slurm_id in slurm_ids(job, history))
            lines += audit(config.provider.id, job, history, own)
    return lines


async def _records(
    cluster: Cluster, jobs: Sequence[JobRow], histories: Mapping[str, History], begin: datetime
) -> dict[int, list[AccountingRecord]]:
    ids = sorted(set().union(*(slurm_ids(job, histories[job.job_id]) for job in jobs)))
    records: dict[int, list[AccountingRecord]] = {}
    for start in range(0, len(ids), IDS_IN_A_CALL):
        chunk = ids[start : start + IDS_IN_A_CALL]
        for record in await cluster.accounting(int((begin - WHOLE_JOB).timestamp()), slurm_ids=chunk):
            records.setdefault(record.slurm_id, []).append(record)
    return records


def _print(lines: Sequence[AuditLine]) -> None:
    table = Table("job", "start", "Slurm ids", "seconds", "owed", "charged", "taken", "finding", box=None)
    for line in lines:
        numbers = (line.used_seconds, line.owed_units, line.charged_units, line.taken_units)
        ids = ",".join(map(str, line.slurm_ids))
        cells = (line.job_id, line.restart, ids, *numbers, "; ".join(line.findings))
        table.add_row(*map(shown, cells))
    console.print(table)
