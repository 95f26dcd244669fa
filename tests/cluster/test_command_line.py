"""The command line as an admin uses it."""

import json
import sqlite3
from contextlib import closing

from tests.cluster.conftest import fresh_folder
from tests.support.jobs import bulk, job
from tests.support.stack import Stack, running_stack


async def test_jobs_are_listed_and_shown(stack: Stack) -> None:
    made = job("exit 7")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    listed = {row["job_id"]: row for row in json.loads(stack.run("jobs", "ls", "--json").stdout)}
    assert listed[made["id"]]["local_user"] == "alice"
    assert made["id"] in stack.run("jobs", "ls").stdout
    shown = stack.run("jobs", "show", made["id"]).stdout
    assert "exit code 7" in shown
    assert "delivered" in shown
    missing = stack.run("jobs", "show", "0")
    assert missing.returncode == 1
    assert "the job map has no job '0'" in missing.stderr


async def test_users_and_projects_are_mapped_listed_and_removed(stack: Stack) -> None:
    stack.run("users", "map", "carol", "bob").check_returncode()
    stack.run("users", "map", "--project", "p1", "--account", "bio").check_returncode()
    mapped = json.loads(stack.run("users", "ls", "--json").stdout)
    assert {"ucloud_user": "carol", "local_user": "bob", "account": ""} in mapped["users"]
    assert mapped["projects"]["p1"] == "bio"
    for name in ("carol", "p1"):
        stack.run("users", "rm", name).check_returncode()
    assert stack.run("users", "rm", "carol").returncode == 1
    assert "users map USER LOCAL_USER" in stack.run("users", "map", "carol").stderr


async def test_the_job_map_is_readable_as_it_is(stack: Stack) -> None:
    made = job("true")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")
    with sqlite3.connect(stack.jobmap_path) as connection:
        connection.row_factory = sqlite3.Row
        row = dict(
            connection.execute("SELECT * FROM jobs_overview WHERE job_id = ?", [made["id"]]).fetchone()
        )
    connection.close()
    assert row["state"] == "SUCCESS"
    assert row["user"] == "user"
    assert row["product"] == "example-compute/example-compute-1"
    assert row["node_list"] == "n1"
    assert row["submitted"] <= row["started"] <= row["ended"]


async def test_config_check_names_what_is_wrong_and_serve_refuses_to_start() -> None:
    async with running_stack(fresh_folder("config-check")) as stack:
        right = stack.run("config", "check")
        assert right.returncode == 0
        assert "every sidecar answers" in right.stdout
        await stack.sidecar.stop()
        unreachable = stack.run("config", "check")
        assert unreachable.returncode == 1
        assert "clusters.hpc.sidecar" in unreachable.stderr
        assert "does not answer" in unreachable.stderr
        serving = stack.run("serve")
        assert (serving.returncode, "does not answer" in serving.stderr) == (1, True)

        text = stack.config_path.read_text()
        stack.config_path.write_text(text.replace("interval_seconds = 1", "intervall_seconds = 1"))
        misspelt = stack.run("config", "check")
        line = 1 + text[: text.index("interval_seconds")].count("\n")
        assert f"config.toml:{line}: tracker.intervall_seconds: there is no such key" in misspelt.stderr
        stack.config_path.write_text(text.replace("provider.pub", "nowhere.pub"))
        assert "core.public_key_file: there is no such file" in stack.run("serve").stderr


async def test_a_second_facade_does_not_start_on_the_same_job_map(stack: Stack) -> None:
    second = stack.run("serve")
    assert second.returncode == 1
    assert "another slurm-provider serve uses this job map" in second.stderr
    made = job("true")
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="SUCCESS")


async def test_the_audit_is_silent_until_ledger_and_slurm_differ() -> None:
    async with running_stack(fresh_folder("audit")) as stack:
        made = job("sleep 2")  # a job that took no time owes nothing
        await stack.core.create(bulk(made))
        await stack.core.wait_update(made["id"], state="SUCCESS")
        await stack.core.wait("chargeCredits", job=made["id"])
        right = stack.run("charges", "audit")
        assert (right.returncode, right.stdout.splitlines()[-1]) == (0, "1 starts compared, 0 differ")

        with closing(sqlite3.connect(stack.jobmap_path)) as jobmap, jobmap:
            jobmap.execute("UPDATE charges SET to_unit = to_unit + 4")
        wrong = stack.run("charges", "audit", "--json")
        (line,) = json.loads(wrong.stdout)
        assert wrong.returncode == 1
        assert line["findings"] == [
            "accounting owes 1 units, the ledger charges 5",
            "Core has taken 1 of 5 units",
        ]
