"""What a user reads when a job's state changes."""

import re
from typing import Any

import pytest

from slurm_provider.jobmap import Attempt
from slurm_provider.tracker.messages import end_message, live_message, requeue_message
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import SLURM_ID, SUBMITTED_AT, job, record


@pytest.mark.parametrize(
    ("state", "details", "words"),
    [
        ("COMPLETED", {}, "finished"),
        ("FAILED", {"exit_code": 3}, "exit code 3"),
        ("FAILED", {"exit_signal": 9}, r"signal 9 \(SIGKILL\)"),
        ("FAILED", {"exit_signal": 53}, r"signal 53 \("),
        ("OUT_OF_MEMORY", {"exit_signal": 125, "out_of_memory": True}, "used more memory"),
        ("FAILED", {"exit_code": 1, "out_of_memory": True}, "used more memory"),
        ("CANCELLED", {}, r"The job was cancelled \(Slurm job"),
        ("CANCELLED", {"cancelled_by_uid": 0}, "cancelled by an administrator"),
        ("CANCELLED", {"cancelled_by_uid": 1001}, "cancelled by its owner"),
        ("TIMEOUT", {}, "time allocation"),
        ("DEADLINE", {}, "deadline"),
        ("NODE_FAIL", {"node_list": "n2"}, "because the node n2 failed"),
        ("NODE_FAIL", {"node_list": "n[2-3]"}, r"because one of the nodes n\[2-3\] failed"),
        ("NODE_FAIL", {"node_list": "n2,n7"}, "because one of the nodes n2,n7 failed"),
        ("BOOT_FAIL", {"node_list": ""}, "node failed"),
        ("PREEMPTED", {}, "preempted: .* higher priority"),
        ("REVOKED", {}, "REVOKED"),
    ],
)
def test_the_end_of_a_job_is_told_in_words(state: str, details: dict[str, Any], words: str) -> None:
    message = end_message(record(state, **details))
    assert re.search(words, message)
    assert state == "COMPLETED" or "Slurm job 77" in message


def test_a_job_that_continues_is_not_told_to_start() -> None:
    assert live_message(JobState.SUSPENDED, JobState.RUNNING) != live_message(
        JobState.IN_QUEUE, JobState.RUNNING
    )


@pytest.mark.parametrize(
    ("mebibytes", "words"),
    [("2048", ", 2 GiB a node"), ("1536", ", 1.5 GiB a node"), ("102", ", 102 MiB a node")],
)
def test_a_job_that_ran_out_of_memory_is_told_how_much_it_had(mebibytes: str, words: str) -> None:
    known = job(submit_request=f'{{"memory_mib_per_node": "{mebibytes}"}}')
    assert words in end_message(record("OUT_OF_MEMORY", out_of_memory=True), known)


@pytest.mark.parametrize("request_", [None, "{}"])
def test_memory_that_is_not_known_is_not_told(request_: str | None) -> None:
    message = end_message(record("OUT_OF_MEMORY", out_of_memory=True), job(submit_request=request_))
    assert message == "The job was ended because it used more memory than its machine type has (Slurm job 77)"


@pytest.mark.parametrize(
    ("state", "nodes", "words"),
    [
        ("NODE_FAIL", "N2", "The node N2 failed; Slurm starts the job again from the beginning (Slurm"),
        ("NODE_FAIL", "n[2-3]", "One of the nodes n[2-3] failed; Slurm starts"),
        ("BOOT_FAIL", "", "A node failed; Slurm starts"),
        ("PREEMPTED", "n2", "The job was preempted, to make room for one of higher priority; Slurm starts"),
        ("REQUEUED", "n2", "Slurm has put the job back into the queue and starts it again"),
    ],
)
def test_a_requeue_is_told_with_its_reason(state: str, nodes: str, words: str) -> None:
    ended = Attempt("54112", SLURM_ID, SUBMITTED_AT, state, 0, 5, 5, 0, 0, nodes)
    assert requeue_message(ended, SLURM_ID).startswith(words)


def test_a_job_that_an_administrator_holds_is_told_so() -> None:
    assert "administrator" in live_message(JobState.IN_QUEUE, JobState.SUSPENDED, by_admin=True)
    assert "administrator" not in live_message(JobState.RUNNING, JobState.SUSPENDED)
