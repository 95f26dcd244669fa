"""A job's rank as the sidecar has to know it, and the files in which it says where its windows are."""

import json

from slurm_provider.config import FacadeConfig
from slurm_provider.jobmap import JobRow
from slurm_provider.launch.script import CONTROL_FOLDER
from slurm_provider.rpc.tunnels import NotRunning, ReplicaOf

PORT_FILE = "allocated-port.txt"
"""Where a replica has written on which port its web application, or its desktop, listens."""
MACHINE_PORT_FILE = "vnc-port.txt"
"""The same of a virtual machine's screen."""
MACHINE_PASSWORD_FILE = "vnc-password.txt"  # noqa: S105 - a file's name


def replica_of_job(row: JobRow, rank: int) -> ReplicaOf:
    """Return a rank of a job; raise NotRunning for one that Slurm does not have."""
    folder = row.folder or json.loads(row.submit_request or "{}").get("folder")
    if row.slurm_id is None or not folder:
        raise NotRunning("the job has not started")
    return ReplicaOf(
        local_user=row.local_user,
        slurm_id=row.slurm_id,
        rank=rank,
        folder=folder,
        control_folder=CONTROL_FOLDER,
    )


def is_machine(row: JobRow, config: FacadeConfig) -> bool:
    """Say whether a job is a virtual machine."""
    product = config.product(row.category, row.product)
    return product is not None and product.virtual_machines


def desktop_port(row: JobRow, config: FacadeConfig) -> str:
    """Return the name of the file that says on which port a job's desktop is."""
    return MACHINE_PORT_FILE if is_machine(row, config) else PORT_FILE
