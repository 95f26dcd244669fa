"""Connected jobs: one job reaches another by the host name that its user gave it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.cluster.test_containers import CONTAINERS, run
from tests.support.containers import IMAGE, container_job, make_images
from tests.support.jobs import application, bulk, job, seed
from tests.support.stack import PROJECT, Settings, Stack, free_port, running_stack

WHOLE = """
[[products]]
category = "example-compute"
id = "whole"
cluster = "hpc"
partition = "main"
cpu = 4
memory_gib = 0.1
"""


@pytest.fixture(scope="module")
async def images() -> AsyncIterator[Stack]:
    """A provider whose cluster runs container images."""
    folder = fresh_folder("peers")
    make_images(folder / "images")
    settings = Settings(more=CONTAINERS["charliecloud"].format(folder=folder) + WHOLE)
    async with running_stack(folder, settings) as stack:
        yield stack


def peer(job_id: str, hostname: str = "database") -> dict[str, Any]:
    return {"type": "peer", "hostname": hostname, "jobId": job_id}


async def served(stack: Stack, port: int, **changes: Any) -> str:
    """Start a job whose ranks each answer HTTP with their rank, on their node's own address only."""
    made = container_job(
        "mkdir rank-$UCLOUD_RANK; cd rank-$UCLOUD_RANK; cat /etc/ucloud/rank.txt >index.html; "
        f"httpd -f -p $(cat /etc/ucloud/node-$UCLOUD_RANK.txt):{port}",
        **changes,
    )
    await stack.core.create(bulk(made))
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    return str(made["id"])


async def test_connecting_two_jobs_together(images: Stack) -> None:
    """The seed document's example, with a web server for a database."""
    port = str(free_port())
    store = images.folder / "drives/123/acme-database"
    store.mkdir()
    (store / "index.html").write_text("of the database\n")
    serve = ["sh", "-c", 'exec httpd -f -h "$1" -p "$(cat /etc/ucloud/node-0.txt):$2"', "sh"]
    serving: list[Any] = [{"type": "word", "word": word} for word in serve]
    serving += [{"type": "var", "variableNames": ["dataStore"]}, {"type": "word", "word": port}]
    stored = {"type": "input_directory", "name": "dataStore", "optional": False}
    await add_application(images, "acme-database", serving, [stored])
    read = ["sh", "-c", f"until wget -q -O - http://database:{port}/; do sleep 0.2; done"]
    await add_application(images, "acme-web-app", [{"type": "word", "word": word} for word in read], [])

    [database] = await images.core.create_as_user("user", *seed("peers.create-database.request")["items"])
    await images.core.wait_update(database, state="RUNNING", timeout=60)
    web_app = seed("peers.create-web-app.request")["items"][0]
    assert web_app["resources"][0]["jobId"] == "4101"  # the stand-in gives ids of its own
    web_app["resources"][0]["jobId"] = database
    [web] = await images.core.create_as_user("user", web_app)
    await images.core.wait_update(web, state="SUCCESS", timeout=60)
    assert images.output("alice", web) == "of the database\n"
    await images.core.terminate_as_user("user", database)


async def add_application(stack: Stack, name: str, invocation: list[Any], parameters: list[Any]) -> None:
    """Add an application that runs in an image to what the portal offers."""
    made = application("shell-script")
    made["metadata"] |= {"name": name}
    made["invocation"] |= {"invocation": invocation, "parameters": parameters}
    made["invocation"]["tool"]["tool"]["description"]["image"] = IMAGE
    await stack.core.add_application(made)


async def test_a_job_reaches_another_by_its_host_name(images: Stack) -> None:
    port = free_port()
    database = await served(images, port, replicas=2)
    hosts = ("database", "database-0", "database-1")
    script = "; ".join(f"until wget -q -O - http://{host}:{port}/; do sleep 0.2; done" for host in hosts)
    made = container_job(script, resources=[peer(database)])
    assert await run(images, made) == "0\n0\n1\n"

    # In installed software's root, as a parameter's value, with what the node's own file holds.
    script = (
        'exec 3<>"/dev/tcp/$1/$2"; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; tail -n 1 <&3; '
        "grep -c . /etc/hosts >&2"
    )
    made = container_job(script, image="acme/batch:1.0.0", shell="bash")
    invocation = made["status"]["resolvedApplication"]["invocation"]
    invocation["invocation"] += [
        {"type": "var", "variableNames": ["server"]},
        {"type": "word", "word": str(port)},
    ]
    invocation["parameters"] += [{"type": "peer", "name": "server", "optional": False}]
    made["specification"]["parameters"]["server"] = peer(database, "data-base")
    answer, _, lines = (await run(images, made)).partition("\n")
    assert answer == "0"
    assert int(lines) > 3

    # A native application has variables.
    made = job('echo "$UCLOUD_PEER_MY_DB $UCLOUD_PEER_MY_DB_NODES"', app="native-script")
    made["specification"]["resources"] = [peer(database, "my-db")]
    first, *all_nodes = (await run(images, made)).split()
    assert len(all_nodes) == 2
    assert first == all_nodes[0]
    await images.core.call("jobs/terminate", bulk(job("true", job_id=database)), user="user")


async def test_the_jobs_of_a_project_may_be_connected(images: Stack) -> None:
    theirs = container_job("sleep 600", user="bob", project=PROJECT)
    await images.core.create(bulk(theirs))
    await images.core.wait_update(theirs["id"], state="RUNNING", timeout=60)
    mine = container_job("grep database /etc/hosts", project=PROJECT, resources=[peer(theirs["id"])])
    assert "database-0" in await run(images, mine)
    alone = container_job("true", resources=[peer(theirs["id"])])
    answer = await images.core.create(bulk(alone))
    assert answer["status"] == 400
    assert "it is not one of yours" in answer["body"]["why"]
    await images.core.call("jobs/terminate", bulk(theirs), user="bob")


async def test_a_peer_that_does_not_run_is_refused(images: Stack) -> None:
    ended = container_job("true")
    await run(images, ended)
    for job_id, why in ((ended["id"], "it is not running"), ("404", "it is not one of yours")):
        answer = await images.core.create(bulk(container_job("true", resources=[peer(job_id)])))
        assert answer["status"] == 400
        assert why in answer["body"]["why"]


async def test_a_peer_that_has_ended_before_the_job_starts_fails_it_in_words(images: Stack) -> None:
    other = container_job("sleep 600")
    await images.core.create(bulk(other))
    await images.core.wait_update(other["id"], state="RUNNING", timeout=60)
    # All of the cluster, so that the job starts when the other has ended.
    made = container_job("true", replicas=4, resources=[peer(other["id"])])
    made["specification"]["product"]["id"] = "whole"
    assert (await images.core.create(bulk(made)))["status"] == 200
    await images.core.call("jobs/terminate", bulk(other), user="user")
    printed = await ended_with_log(images, made)
    assert "The job connected as database is not found running any more." in printed


async def ended_with_log(stack: Stack, made: Any) -> str:
    await stack.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    return (stack.job_folder("alice", made["id"]) / "stderr-0.log").read_text()


@pytest.mark.parametrize("hostname", ["", "-v", "a b", "a_b", "a;id", "$(id)", "a\nb", "localhost", "a..b"])
async def test_only_a_host_name_can_name_a_peer(images: Stack, hostname: str) -> None:
    made = container_job("true", resources=[peer("404", hostname)])
    answer = await images.core.create(bulk(made))
    assert answer["status"] == 400
    assert "host name" in answer["body"]["why"]
