"""What applications may ask for, on the real cluster."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import fresh_folder
from tests.support.applications import SOFTWARE_IMAGE, bash, job_of, template, words
from tests.support.jobs import bulk
from tests.support.slurm import Slurm
from tests.support.stack import Settings, Stack, running_stack

MORE = """
[modules]
init = "{modules}/init"

[choices]
modules = ["acme"]

[system]
load = "export SYSTEM=loaded"
unload = "unset SYSTEM"
scripts = "{scripts}"

[applications."tool@1.9"]
load = "export TOOL=1.9"
unload = "unset TOOL"

[applications."tool@1.10"]
load = "export TOOL=1.10; a=(1 2); export COUNT=${#a[@]}"

[licenses."acme"]
address = "licences.example"
port = 27000
key = "0123"

[[products]]
category = "example-compute"
id = "example-compute"
cluster = "hpc"
partition = "main"
cpu = 2
memory_gib = 0.1
"""
ONE_CORE = """
[[products]]
category = "example-compute"
id = "example-compute-1"
cluster = "hpc"
partition = "main"
memory_gib = 0.1
"""


@pytest.fixture(scope="module")
async def site(modules: Path) -> AsyncIterator[Stack]:
    """A provider of a site with software, a licence and a machine of two cores."""
    scripts = fresh_folder("scripts")
    scripts.mkdir(parents=True)
    (scripts / "greet").write_text('#!/bin/sh\necho \'{"output": "echo hello, $UCLOUD_APPLICATION_NAME"}\'\n')
    (scripts / "greet").chmod(0o755)
    more = MORE.replace("{modules}", str(modules)).replace("{scripts}", str(scripts))
    async with running_stack(fresh_folder("site"), Settings(products=ONE_CORE, more=more)) as stack:
        yield stack


@pytest.fixture(scope="module")
def modules() -> Path:
    """A folder of modules on the nodes, and the file that makes them known to bash."""
    folder = fresh_folder("modules")
    (folder / "acme").mkdir(parents=True)
    (folder / "acme/2").write_text("#%Module1.0\nsetenv ACME two\n")
    (folder / "init").write_text(f". /usr/share/lmod/lmod/init/bash\nexport MODULEPATH={folder}\n")
    return folder


async def ended(stack: Stack, made: Any, state: str = "SUCCESS") -> str:
    """Create a job, wait for its end, and return what the user is told of it."""
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 200, answer
    update = await stack.core.wait_update(made["id"], state=state, timeout=60)
    return str(update["status"])


def stderr(stack: Stack, made: Any) -> str:
    return (stack.job_folder("alice", made["id"]) / "stderr-0.log").read_text()


async def test_a_template_runs_once_and_its_srun_once_on_each_node(site: Stack) -> None:
    text = """\
echo begin {{ word }}
{{ srun() }}hostname
echo end $UCLOUD_RANK
cat $UCLOUD_DIR/number_of_nodes.txt
"""
    made = job_of(
        template(text),
        parameters={"word": {"type": "text"}},
        values={"word": {"type": "text", "value": "it's $HOME"}},
        replicas=3,
    )
    await ended(site, made)
    first, *hosts, last, nodes = site.output("alice", made["id"]).splitlines()
    assert (first, last, nodes) == ("begin it's $HOME", "end 0", "3")
    assert len(set(hosts)) == len(hosts) == 3


@pytest.mark.parametrize(("text", "message"), [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")])
async def test_a_failing_template_ends_as_any_program(site: Stack, text: str, message: str) -> None:
    assert message in await ended(site, job_of(template(text)))


async def test_terminate_ends_a_running_template(site: Stack, slurm: Slurm) -> None:
    made = job_of(template("echo started; sleep 600"))
    await site.core.create(bulk(made))
    await site.core.wait_update(made["id"], state="RUNNING")
    await site.core.call("jobs/terminate", bulk(made), user="user")
    await site.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert (await slurm.recorded(made["id"]))["State"].startswith("CANCELLED")


async def has_printed(stack: Stack, made: Any, text: str) -> None:
    """Wait until a job has printed exactly this."""
    log = stack.job_folder("alice", made["id"]) / "stdout-0.log"
    async with asyncio.timeout(60):
        while not log.exists() or log.read_text() != text:
            await asyncio.sleep(0.1)


async def test_a_template_that_is_terminated_has_time_to_save_its_work(site: Stack) -> None:
    made = job_of(template("trap 'sleep 3; echo saved; exit 0' TERM; echo up; sleep 600 & wait"))
    await site.core.create(bulk(made))
    await has_printed(site, made, "up\n")
    await site.core.call("jobs/terminate", bulk(made), user="user")
    await site.core.wait_update(made["id"], state="SUCCESS", timeout=60)
    assert site.output("alice", made["id"]) == "up\nsaved\n"


async def test_a_template_gets_the_signal_that_it_asks_for_before_its_time_is_up(site: Stack) -> None:
    text = "{{ sbatch('signal', 'B:USR1@50') }}trap 'echo told; exit 0' USR1; echo up; sleep 600 & wait"
    made = job_of(template(text), specification={"timeAllocation": {"hours": 0, "minutes": 1, "seconds": 0}})
    assert "finished" in await ended(site, made)
    assert site.output("alice", made["id"]) == "up\ntold\n"


async def test_a_workflow_runs_after_the_applications_own_text_with_its_own_parameters(site: Stack) -> None:
    workflow = {
        "type": "workflow",
        "specification": {
            "applicationName": "x",
            "language": "JINJA2",
            "init": None,
            "job": "echo {{ name }}",
            "readme": None,
            "inputs": [{"type": "text", "name": "name", "optional": False}],
        },
    }
    made = job_of(
        template("echo first"),
        parameters={"flow": {"type": "workflow"}},
        values={"flow": workflow, "name": {"type": "text", "value": "a  b"}},
    )
    await ended(site, made)
    assert site.output("alice", made["id"]) == "first\na  b\n"


async def test_a_template_that_does_not_end_is_refused_and_nothing_is_submitted(site: Stack) -> None:
    endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    made = job_of(template(endless))
    answer = await site.core.create(bulk(made))
    assert answer["status"] == 400
    assert "takes too long" in answer["body"]["why"]


async def test_a_script_of_the_site_writes_a_part_of_the_template(site: Stack) -> None:
    made = job_of(template("{{ script('greet') }} | tr a-z A-Z\n"))
    await ended(site, made)
    assert site.output("alice", made["id"]) == "HELLO, NATIVE-SCRIPT\n"


async def test_required_modules_are_loaded(site: Stack) -> None:
    made = job_of(*bash('echo "$ACME"'), tool={"requiredModules": ["acme/2"]})
    await ended(site, made)
    assert site.output("alice", made["id"]) == "two\n"


async def test_modules_that_the_user_chose_are_loaded_in_containers_too(site: Stack) -> None:
    chosen = {"_injected_modules": {"type": "modules", "modules": ["acme"]}}
    made = job_of(*bash('echo "$ACME"'), base=SOFTWARE_IMAGE, values=chosen)
    await ended(site, made)
    assert site.output("alice", made["id"]) == "two\n"


async def test_modules_are_found_where_they_are_usually_installed(stack: Stack) -> None:
    made = job_of(*bash('echo "$LOADEDMODULES"'), tool={"requiredModules": ["Core/lmod"]})
    await ended(stack, made)
    assert stack.output("alice", made["id"]) == "Core/lmod\n"


async def test_a_module_that_is_not_there_ends_the_job_in_words(site: Stack) -> None:
    made = job_of(*bash("echo ran"), tool={"requiredModules": ["no/such"]})
    assert "exit code 1" in await ended(site, made)
    assert "The module 'no/such' could not be loaded on this node." in stderr(site, made)
    assert site.output("alice", made["id"]) == ""


async def test_a_native_tool_finds_the_software_that_it_names(site: Stack) -> None:
    instructions = {"type": "Native", "applications": [{"name": "tool", "version": "1.9"}]}
    made = job_of(*bash('echo "$SYSTEM $TOOL"'), tool={"loadInstructions": instructions})
    await ended(site, made)
    assert site.output("alice", made["id"]) == "loaded 1.9\n"


async def test_a_template_loads_software_where_it_says_so(site: Stack) -> None:
    text = """\
echo "before ${TOOL-none}"
{- versionResolver("tool", "loose-forward") -}
{- systemLoad -}
{- loadApplication("tool", "1.9.5") -}
echo "$SYSTEM $TOOL $COUNT"
{- systemUnload -}
echo "after ${SYSTEM-none}"
"""
    made = job_of(template(text))
    await ended(site, made)
    assert site.output("alice", made["id"]).splitlines() == ["before none", "loaded 1.10 2", "after none"]


async def test_a_job_knows_its_machine_and_its_application(site: Stack) -> None:
    made = job_of(*bash("env | grep ^UCLOUD_ | sort"), product="example-compute", replicas=2)
    await ended(site, made)
    variables = dict(line.split("=", 1) for line in site.output("alice", made["id"], 1).splitlines())
    expected = {
        "UCLOUD_JOB_ID": made["id"],
        "UCLOUD_MACHINE_NAME": "example-compute",
        "UCLOUD_MACHINE_CATEGORY": "example-compute",
        "UCLOUD_MACHINE_CPU": "2",
        "UCLOUD_MACHINE_MEMORY_IN_GIGS": "0.1",
        "UCLOUD_MACHINE_GPU": "0",
        "UCLOUD_NODES": "2",
        "UCLOUD_PARTITION": "main",
        "UCLOUD_QOS": "",
        "UCLOUD_APPLICATION_NAME": "native-script",
        "UCLOUD_APPLICATION_VERSION": "1.0.0",
        "UCLOUD_RANK": "1",
        "UCLOUD_TASK_COUNT": "2",
    }
    assert expected.items() <= variables.items()
    assert "UCLOUD_PORT" not in variables


async def test_an_application_is_told_the_file_that_it_was_opened_with(site: Stack) -> None:
    opened = site.folder / "drives/123/opened.txt"
    opened.write_text("the text\n")
    made = job_of(*bash('cat "$UCLOUD_OPEN_WITH_FILE"'), specification={"openedFile": "/123/opened.txt"})
    await ended(site, made)
    assert site.output("alice", made["id"]) == "the text\n"


@pytest.mark.parametrize("base", ["native-script", SOFTWARE_IMAGE])
async def test_a_web_application_without_a_port_gets_a_free_one_in_each_replica(
    site: Stack, base: str
) -> None:
    listen = """\
import os, socket
socket.create_server(("", int(os.environ["UCLOUD_WEB_PORT"])))
print("listening")
"""
    made = job_of(
        *words("/usr/bin/python3", "-c", listen),
        base=base,
        applicationType="WEB",
        web={"port": None},
        replicas=2,
    )
    await ended(site, made)
    for rank in range(2):
        assert site.output("alice", made["id"], rank) == "listening\n"
        written = site.job_folder("alice", made["id"]) / f".ucloud/rank-{rank}/allocated-port.txt"
        assert 10000 <= int(written.read_text()) < 30000


async def test_a_vnc_application_keeps_its_own_port(site: Stack) -> None:
    shown = bash('echo "$UCLOUD_PORT $UCLOUD_WEB_PORT $UCLOUD_VNC_PORT"')
    made = job_of(*shown, applicationType="VNC", vnc={"port": 5900})
    await ended(site, made)
    assert site.output("alice", made["id"]) == "5900 5900 5900\n"


async def test_a_licence_reaches_the_program_as_address_and_key(site: Stack) -> None:
    made = job_of(
        *words("echo"),
        {"type": "var", "variableNames": ["lic"]},
        parameters={"lic": {"type": "license_server", "tagged": []}},
        values={"lic": {"type": "license_server", "id": "acme"}},
    )
    await ended(site, made)
    assert site.output("alice", made["id"]) == "licences.example:27000/0123\n"


async def test_tasks_on_a_node_share_its_machine(site: Stack) -> None:
    shown = "{{ srun() }}bash -c 'echo $SLURM_PROCID of $SLURM_CPUS_PER_TASK'"
    made = job_of(
        template("{{ sbatch('ntasks-per-node', 2) }}" + shown), product="example-compute", replicas=2
    )
    await ended(site, made)
    assert sorted(site.output("alice", made["id"]).splitlines()) == [f"{n} of 1" for n in range(4)]


async def test_a_task_of_a_template_has_all_cores_of_its_machine(site: Stack) -> None:
    made = job_of(template("{{ srun() }}bash -c 'echo $SLURM_CPUS_PER_TASK'"), product="example-compute")
    await ended(site, made)
    assert site.output("alice", made["id"]) == "2\n"


async def test_a_replica_is_one_task_whatever_shares_its_node(site: Stack) -> None:
    made = job_of(
        *bash('echo "$UCLOUD_RANK $SLURM_CPUS_PER_TASK"; cat $UCLOUD_DIR/cores.txt'),
        sbatch={"ntasks-per-node": {"type": "var", "variableNames": ["tasks"]}},
        parameters={"tasks": {"type": "integer"}},
        values={"tasks": {"type": "integer", "value": 2}},
        product="example-compute",
        replicas=2,
    )
    await ended(site, made)
    folder = site.job_folder("alice", made["id"])
    assert sorted(path.name for path in folder.glob("stdout-*.log")) == ["stdout-0.log", "stdout-1.log"]
    assert site.output("alice", made["id"], 1).splitlines() == ["1 2", "2"]


async def test_an_allowed_option_reaches_slurm(site: Stack, slurm: Slurm) -> None:
    made = job_of(template("{{ sbatch('signal', 'B:USR1@30') }}{{ sbatch('contiguous') }}sleep 600"))
    await site.core.create(bulk(made))
    await site.core.wait_update(made["id"], state="RUNNING")
    slurm_id = str(site.overview(made["id"])["slurm_id"])
    shown = slurm.run("scontrol", "show", "job", slurm_id)
    await site.core.call("jobs/terminate", bulk(made), user="user")
    assert "Contiguous=1" in shown
    header = (site.job_folder("alice", made["id"]) / ".ucloud/job.sh").read_text()
    assert "#SBATCH --signal=B:USR1@30\n" in header
    await site.core.wait_update(made["id"], state="SUCCESS", timeout=60)


@pytest.mark.parametrize(
    ("asked", "words_of_it"),
    [
        (("account", "root"), "the option 'account' of sbatch is the provider's own"),
        (("exclusive", ""), "the option 'exclusive' of sbatch is not allowed"),
        (("ntasks-per-node", "64"), "it asks for 64 tasks of 1 cores on a node"),
        (("signal", "10\n#SBATCH --uid=0"), "the option 'signal' of sbatch cannot be"),
    ],
)
async def test_an_option_that_is_not_allowed_is_refused_by_its_name(
    site: Stack, asked: tuple[str, str], words_of_it: str
) -> None:
    name, value = asked
    made = job_of(*bash("true"), sbatch={name: {"type": "word", "word": value}})
    answer = await site.core.create(bulk(made))
    assert answer["status"] == 400
    assert words_of_it in answer["body"]["why"]


async def test_an_interface_that_a_template_announces_is_told_to_the_portal(site: Stack) -> None:
    made = job_of(
        template("{{ dynamicInterface(0, 'WEB', 'board', 6006) }}true"), applicationType="WEB", web=None
    )
    await ended(site, made)
    told = [u["status"] for u in await site.updates(made["id"]) if (u["status"] or "").startswith("Target: ")]
    assert [json.loads(text.removeprefix("Target: ")) for text in told] == [
        {"rank": 0, "type": "WEB", "target": "board", "port": 6006, "defaultName": None}
    ]


async def test_many_templates_at_once_are_all_submitted(site: Stack) -> None:
    made = [job_of(template(f"echo {number}")) for number in range(6)]
    await asyncio.gather(*(site.core.create(bulk(one)) for one in made))
    for number, one in enumerate(made):
        await site.core.wait_update(one["id"], state="SUCCESS", timeout=90)
        assert site.output("alice", one["id"]) == f"{number}\n"
