"""Which Slurm job is ours."""

import re
from typing import Any

import pytest

from slurm_provider.jobmap import Attempt
from slurm_provider.tracker.identity import Tagger, adoptable, carries, same_job, submit_times
from slurm_provider.tracker.lookup import Found, choose
from tests.unit.builders import SLURM_ID, SUBMITTED_AT, TAG, job, live, record

OTHER = "uc-54112-ffffffffffffffffffffffffffffffff"
LATER = SUBMITTED_AT + 500


def attempt(submit_time: int) -> Attempt:
    return Attempt("54112", SLURM_ID, submit_time, "REQUEUED", 0, 0, 0, 0, 0, "")


def test_a_tag_names_the_job_and_proves_who_made_it() -> None:
    tag = Tagger("example", "secret").tag("54112")
    assert re.fullmatch(r"uc-54112-[0-9a-f]{32}", tag)
    assert tag == Tagger("example", "secret").tag("54112")


@pytest.mark.parametrize(
    ("provider", "token", "job_id"),
    [("other", "secret", "54112"), ("example", "other", "54112"), ("example", "secret", "54113")],
)
def test_another_provider_secret_or_job_has_another_tag(provider: str, token: str, job_id: str) -> None:
    ours = Tagger("example", "secret").tag("54112").rpartition("-")[2]
    assert Tagger(provider, token).tag(job_id).rpartition("-")[2] != ours


@pytest.mark.parametrize(
    ("name", "comment", "ours"),
    [
        (TAG, "", True),
        ("renamed", TAG, True),
        ("renamed", f"my words {TAG} and more", True),
        ("renamed", f"first\n{TAG}\n", True),
        ("renamed", "", False),
        ("renamed", f"x{TAG}", False),
        (f"{TAG}x", "", False),
        (f"{TAG} x", "", False),
        (OTHER, OTHER, False),
        ("", "", False),
    ],
)
def test_a_job_carries_its_tag_as_its_name_or_in_its_comment(name: str, comment: str, ours: bool) -> None:
    assert carries(live("RUNNING", name=name, comment=comment), TAG) is ours
    assert carries(record("RUNNING", name=name), TAG) is (name == TAG)


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({}, True),
        ({"name": "renamed"}, True),
        ({"submit_time": LATER}, True),
        ({"name": "renamed", "submit_time": LATER}, False),
        ({"name": OTHER, "submit_time": LATER}, False),
        ({"name": "renamed", "submit_time": SUBMITTED_AT - 500}, False),
        ({"user": "bob"}, False),
        ({"slurm_id": SLURM_ID + 1}, False),
    ],
)
def test_a_row_under_our_id_is_ours_by_its_owner_and_its_name_or_submit_time(
    changes: dict[str, Any], ours: bool
) -> None:
    known = submit_times(job(slurm_submit_time=SUBMITTED_AT), [])
    assert same_job(live("RUNNING", comment="", **changes), job(), known) is ours
    assert same_job(record("RUNNING", **changes), job(), known) is ours
    assert same_job(record("RUNNING", **changes), job(), {SUBMITTED_AT}) is ours


def test_a_job_in_the_queue_is_known_by_its_comment_as_well() -> None:
    known = {SUBMITTED_AT}
    assert same_job(live("RUNNING", name="renamed", submit_time=LATER), job(), known)
    assert not same_job(live("RUNNING", name="renamed", comment=OTHER, submit_time=LATER), job(), known)


def test_a_job_that_is_renamed_before_the_first_look_is_still_ours() -> None:
    renamed = live("RUNNING", name="renamed", comment="renamed")
    assert same_job(renamed, job(), set())
    assert not same_job(live("RUNNING", name="renamed", comment="", submit_time=LATER), job(), set())


def test_a_job_that_is_renamed_and_requeued_is_still_ours() -> None:
    again = live("RUNNING", name="renamed", comment="renamed", submit_time=LATER, restarts=1)
    assert same_job(again, job(), {SUBMITTED_AT})
    known = submit_times(job(slurm_submit_time=SUBMITTED_AT), [], again)
    assert same_job(record("RUNNING", name="renamed", submit_time=LATER), job(), known)


def test_a_job_that_got_a_used_id_is_not_ours_whatever_its_owner_calls_it() -> None:
    other = live("RUNNING", name="renamed", comment="renamed", submit_time=LATER)
    assert not same_job(other, job(), {SUBMITTED_AT})


@pytest.mark.parametrize("submit_time", [SUBMITTED_AT, SUBMITTED_AT + 1, LATER - 1, LATER])
def test_attempts_that_nobody_saw_are_ours_by_lying_between_those_that_are_known(submit_time: int) -> None:
    between = record("REQUEUED", name="renamed", submit_time=submit_time)
    assert same_job(between, job(), {SUBMITTED_AT, LATER})
    assert same_job(between, job(), submit_times(job(), [attempt(LATER)]))


def test_each_restart_has_a_tag_of_its_own_that_is_found_again() -> None:
    tagger = Tagger("example", "secret")
    tags = {restart: tagger.tag("54112", restart) for restart in (0, 1, 2, 17)}
    assert re.fullmatch(r"uc-54112-r17-[0-9a-f]{32}", tags[17])
    assert len({tag.rpartition("-")[2] for tag in tags.values()}) == len(tags)
    for restart, tag in tags.items():
        assert tagger.restart_of(record("RUNNING", name=tag), "54112") == restart
        assert tagger.restart_of(live("RUNNING", name="renamed", comment=f"my {tag}"), "54112") == restart


@pytest.mark.parametrize(
    "name",
    [
        "",
        "uc-54112-",
        "uc-54112-r1-",
        OTHER,
        "uc-54112-r1-" + "f" * 32,
        Tagger("example", "secret").tag("54112").replace("54112-", "54112-r1-"),
        Tagger("example", "secret").tag("54112", 1).replace("-r1-", "-r2-"),
        Tagger("example", "secret").tag("54112", 1).replace("-r1-", "-"),
        Tagger("example", "secret").tag("54112-r1"),
        Tagger("example", "other").tag("54112"),
    ],
)
def test_a_tag_that_was_not_made_for_a_restart_of_the_job_names_none(name: str) -> None:
    assert Tagger("example", "secret").restart_of(record("RUNNING", name=name), "54112") is None


@pytest.mark.parametrize(
    ("changes", "account", "taken"),
    [
        ({}, "users", True),
        ({}, "Users", True),
        ({}, "", True),
        ({"account": "USERS"}, "users", True),
        ({}, "bio", False),
        ({"user": "bob"}, "users", False),
        ({"name": "x", "comment": "x"}, "users", False),
        ({"name": "x"}, "users", True),
    ],
)
def test_only_the_right_tag_owner_and_account_together_are_adopted(
    changes: dict[str, Any], account: str, taken: bool
) -> None:
    rows = [live("RUNNING", **changes)]
    assert adoptable(rows, tag=TAG, user="alice", account=account) == (rows if taken else [])


def test_of_several_jobs_with_our_tag_the_earliest_is_taken_with_all_its_attempts() -> None:
    copied = record("RUNNING", slurm_id=3, submit_time=SUBMITTED_AT + 1)
    first = record("REQUEUED")
    again = record("RUNNING", submit_time=LATER)
    assert adoptable([copied, again, first], tag=TAG, user="alice", account="users") == [again, first]


def test_a_job_submitted_in_the_same_second_is_told_apart_by_its_id() -> None:
    rows = [record("RUNNING", slurm_id=9), record("RUNNING", slurm_id=8)]
    assert [r.slurm_id for r in adoptable(rows, tag=TAG, user="alice", account="")] == [8]


def test_a_look_up_believes_the_earlier_of_queue_and_accounting() -> None:
    queue = [live("RUNNING", submit_time=LATER, slurm_id=9, folder="/later")]
    accounting = [record("COMPLETED")]
    found = choose(queue, accounting, tag=TAG, user="alice", account="users")
    assert found is not None
    assert (found.slurm_id, found.folder, found.submit_time) == (SLURM_ID, "", SUBMITTED_AT)
    assert choose(queue, [], tag=TAG, user="alice", account="users") == Found(9, LATER, "/later")
    assert choose([], [], tag=TAG, user="alice", account="users") is None
