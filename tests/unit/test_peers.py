"""Connected jobs: which names they may have, and which jobs they may be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.peers import Peer, WishedPeer, checked_hostname, wished_peers
from slurm_provider.tracker.peers import connected
from slurm_provider.ucloud.jobs import Job, JobSpecification, JobState
from tests.unit import builders


def peer(hostname: str, job_id: str = "1") -> dict[str, Any]:
    return {"type": "peer", "hostname": hostname, "jobId": job_id}


def specification(*resources: dict[str, Any], **parameters: dict[str, Any]) -> JobSpecification:
    return JobSpecification.model_validate({"resources": resources, "parameters": parameters})


@pytest.mark.parametrize("hostname", ["db", "my-db", "DB2", "a.b-c.d", "1", "a" * 63])
def test_a_host_name_of_letters_digits_and_dashes_is_taken(hostname: str) -> None:
    assert checked_hostname(hostname) == hostname


@pytest.mark.parametrize(
    "hostname",
    ["", "-a", "a-", "a_b", "a b", "a.", ".a", "a..b", "a\n", "a\nb", "$(x)", "é", "a" * 64, "localhost"],
)
def test_what_is_no_host_name_is_refused(hostname: str) -> None:
    with pytest.raises(LaunchError, match="host name"):
        checked_hostname(hostname)


def test_peers_are_found_among_parameters_and_resources_once() -> None:
    wished = wished_peers(specification(peer("db"), peer("web", "2"), server=peer("db")))
    assert wished == [WishedPeer("db", "1"), WishedPeer("web", "2")]


@pytest.mark.parametrize("other", ["db.x", "DB-X"])
def test_two_jobs_of_one_name_are_refused(other: str) -> None:
    with pytest.raises(LaunchError, match="two connected jobs"):
        wished_peers(specification(peer("db-x"), peer(other, "2")))


@pytest.mark.parametrize("other", ["db-x-0", "DB-X-12", "db-x-nodes"])
def test_a_job_cannot_have_the_name_of_anothers_nodes(other: str) -> None:
    with pytest.raises(LaunchError, match="stands for nodes of another connected job"):
        wished_peers(specification(peer(other), peer("db-x", "2")))
    assert len(wished_peers(specification(peer(other), peer("db", "2")))) == 2


def test_the_variable_of_a_peer_is_its_name_in_capitals() -> None:
    assert Peer("my-db.x", "1", "hpc", 7, "alice").variable == "MY_DB_X"


RUNNING = builders.job(job_id="4101", state=JobState.RUNNING)
MINE = {"createdBy": "user", "project": None}
CONNECTED: dict[str, tuple[JobRow, dict[str, Any]]] = {
    "one's own": (RUNNING, MINE),
    "one's own, of a project": (replace(RUNNING, project="bio"), MINE),
    "another's of the project": (
        replace(RUNNING, ucloud_user="bob", project="bio"),
        {"createdBy": "user", "project": "bio"},
    ),
}
REFUSED: dict[str, tuple[JobRow, dict[str, Any], str]] = {
    "another's": (replace(RUNNING, ucloud_user="bob"), MINE, "not one of yours"),
    "another's of a project that is not the job's": (
        replace(RUNNING, ucloud_user="bob", project="bio"),
        MINE,
        "not one of yours",
    ),
    "of another project": (
        replace(RUNNING, ucloud_user="bob", project="bio"),
        {"createdBy": "user", "project": "chem"},
        "not one of yours",
    ),
    "nobody's, for a job without owner": (
        replace(RUNNING, ucloud_user=""),
        {"createdBy": "", "project": None},
        "not one of yours",
    ),
    "in the queue": (replace(RUNNING, state=JobState.IN_QUEUE), MINE, "not running"),
    "ended": (replace(RUNNING, state=JobState.SUCCESS), MINE, "not running"),
    "unknown": (replace(RUNNING, job_id="1"), MINE, "not one of yours"),
}


async def _connected(folder: Path, row: JobRow, owner: dict[str, Any]) -> list[Peer]:
    jobmap = await Door.open(folder / "jobs.db", lambda: 0)
    await jobmap.call(JobMap.add_jobs, [(row, JobChange(row.job_id))])
    job = Job.model_validate(
        {"id": "4150", "owner": owner, "specification": {"resources": [peer("database", "4101")]}}
    )
    try:
        return await connected(jobmap, job)
    finally:
        await jobmap.close()


@pytest.mark.parametrize("case", CONNECTED)
async def test_a_running_job_of_the_same_owner_can_be_connected(case: str, tmp_path: Path) -> None:
    row, owner = CONNECTED[case]
    peers = await _connected(tmp_path, row, owner)
    assert peers == [Peer("database", "4101", "hpc", builders.SLURM_ID, "alice")]


@pytest.mark.parametrize("case", REFUSED)
async def test_any_other_job_is_refused(case: str, tmp_path: Path) -> None:
    row, owner, why = REFUSED[case]
    with pytest.raises(LaunchError, match=why):
        await _connected(tmp_path, row, owner)
