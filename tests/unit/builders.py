"""Rows of the job map and of Slurm, and a configuration, with defaults that a test need not repeat."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from slurm_provider.config import FacadeConfig, load_facade
from slurm_provider.jobmap import JobRow, Submission
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.ucloud.jobs import JobState

Row = TypeVar("Row", LiveJob, AccountingRecord)

TAG = "uc-54112-0123456789abcdef0123456789abcdef"
SLURM_ID = 77
SUBMITTED_AT = 1_000
STARTED_AT = 1_010

CONFIG = """\
[provider]
id = "example"

[core]
url = "http://core.example"
public_key_file = "{folder}/provider.pub"
refresh_token_file = "{folder}/refresh-token"

[jobmap]
path = "{folder}/jobs.db"

[clusters.hpc]
sidecar = "unix:/run/sidecar.sock"
job_folder = "~/ucloud-jobs/{{job}}"

[[drives]]
id = "4012"
path = "/gpfs/home/bob"

[[images]]
name = "acme/batch:1.0.0"
software = "/opt/acme batch"

[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "main"
qos = "normal"
constraint = "intel&ib"
cpu = 4
memory_gib = 1.5
gpu = 2
"""


def config_file(folder: Path, text: str = CONFIG) -> Path:
    (folder / "provider.pub").touch()
    (folder / "refresh-token").write_text("a token\n")
    path = folder / "config.toml"
    path.write_text(text.replace("{{", "{").replace("}}", "}").replace("{folder}", str(folder)))
    return path


def facade_config(folder: Path) -> FacadeConfig:
    return load_facade(config_file(folder))


def job(**changes: Any) -> JobRow:
    """A job that Slurm has, paid by the minute, in the queue."""
    row = JobRow(
        job_id="54112",
        cluster="hpc",
        ucloud_user="user",
        project=None,
        local_user="alice",
        account="users",
        application="acme-batch 1.0.0",
        category="example-compute",
        product="example-compute-1",
        replicas=1,
        partition="main",
        qos="",
        tag=TAG,
        unit_seconds=60,
        grid_units=15,
        created_at=900,
        submission=Submission.SUBMITTED,
        state=JobState.IN_QUEUE,
        slurm_id=SLURM_ID,
        submitted_at=SUBMITTED_AT,
    )
    return replace(row, **changes)


def live(state: str, **changes: Any) -> LiveJob:
    row = LiveJob(
        slurm_id=SLURM_ID,
        name=TAG,
        comment=TAG,
        user="alice",
        account="users",
        partition="main",
        state=state,
        submit_time=SUBMITTED_AT,
    )
    if state not in ("PENDING", "CONFIGURING"):
        row.start_time, row.node_list = STARTED_AT, "n1"
    return _changed(row, changes)


def record(state: str, *, elapsed: int = 0, **changes: Any) -> AccountingRecord:
    """An attempt that got a node and, unless it runs, has ended after `elapsed` seconds."""
    row = AccountingRecord(
        slurm_id=SLURM_ID,
        name=TAG,
        user="alice",
        account="users",
        partition="main",
        state=state,
        node_list="n1",
        submit_time=SUBMITTED_AT,
        start_time=STARTED_AT,
        end_time=0 if state in ("PENDING", "RUNNING", "SUSPENDED") else STARTED_AT + elapsed,
        elapsed_seconds=elapsed,
    )
    return _changed(row, changes)


def cancelled_in_queue(**changes: Any) -> AccountingRecord:
    """The record of an attempt that never got a node."""
    facts: dict[str, Any] = {"node_list": "", "start_time": 0, "end_time": 5000}
    return record("CANCELLED", **facts | changes)


def _changed(row: Row, changes: dict[str, Any]) -> Row:
    for name, value in changes.items():
        setattr(row, name, value)
    return row
