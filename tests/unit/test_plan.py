"""A job as Core sends it becomes a plan, or is refused in words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.config import FacadeConfig, SuspendBy
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.plan import Plan, checked_job_id, plan
from slurm_provider.ucloud.jobs import Job
from tests.unit.builders import facade_config

SEED = Path(__file__).parents[1] / "data/seeds/create.request.json"
HOUR = {"hours": 1, "minutes": 0, "seconds": 0}


@pytest.fixture
def config(tmp_path: Path) -> FacadeConfig:
    return facade_config(tmp_path)


def seed(**changes: Any) -> Job:
    """The seed's job; a change names its place with `__` between the keys."""
    job = copy.deepcopy(json.loads(SEED.read_text())["items"][0])
    for place, value in changes.items():
        *keys, last = place.split("__")
        inner = job
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return Job.model_validate(job)


APPLICATION = "status__resolvedApplication"
INVOCATION = f"{APPLICATION}__invocation"
TOOL = f"{INVOCATION}__tool__tool__description"


def test_the_seeds_job_gets_the_share_of_slurm_that_its_product_means(config: FacadeConfig) -> None:
    planned = plan(seed(), config)
    request = planned.submit_request(
        local_user="alice", account="users", tag="uc-54112-tag", job_folder="/gpfs/{user}/ucloud/{job}"
    )
    assert (planned.application, planned.product.id, planned.replicas) == (
        "acme-batch 1.0.0",
        "example-compute-1",
        1,
    )
    assert (request.local_user, request.account, request.partition) == ("alice", "users", "main")
    assert (request.qos, request.constraint) == ("normal", "intel&ib")
    assert (request.name, request.comment) == ("uc-54112-tag", "uc-54112-tag")
    assert (request.nodes, request.cpus_per_task, request.gpus_per_node) == (1, 4, 2)
    assert (request.memory_mib_per_node, request.time_limit_seconds) == (1536, 3600)
    assert request.folder == "/gpfs/alice/ucloud/54112"


def test_the_seeds_job_runs_the_command_line_of_its_application(config: FacadeConfig) -> None:
    planned = plan(seed(), config)
    command = [
        "export PATH='/opt/acme batch':\"$PATH\"",
        "exec 'acme-batch' '--debug' 'true' 'Hello, World!'",
    ]
    assert "\n".join(command) in planned.body.script
    assert "exec $deaf bwrap" in planned.body.script
    assert "UCLOUD_JOB_ID='54112'" in planned.body.script


def test_a_native_application_sees_the_node_as_it_is(config: FacadeConfig) -> None:
    planned = plan(seed(**{f"{TOOL}__backend": "NATIVE", f"{TOOL}__image": None}), config)
    assert 'export UCLOUD_DIR="$etc"' in planned.body.script
    assert "\nexec 'acme-batch'" in planned.body.script


@pytest.mark.parametrize(
    ("image", "container"),
    [("acme/batch:1.0.0", None), ("", "acme/batch:1.0.0"), ("acme/batch:1.0.0", "old/name:1")],
)
def test_the_image_is_preferred_to_its_old_name(
    config: FacadeConfig, image: str | None, container: str | None
) -> None:
    assert plan(seed(**{f"{TOOL}__image": image, f"{TOOL}__container": container}), config).job_id == "54112"


@pytest.mark.parametrize(
    ("asked", "default", "seconds", "is_default"),
    [
        (HOUR, None, 3600, False),
        ({"hours": 30, "minutes": 5, "seconds": 7}, HOUR, 30 * 3600 + 307, False),
        ({"seconds": 90}, HOUR, 90, False),
        (None, {"hours": 2, "minutes": 30, "seconds": 0}, 9000, True),
        (None, None, None, True),
        (None, {"hours": 0, "minutes": 0, "seconds": 0}, None, True),
    ],
)
def test_the_time_is_the_users_else_the_tools_else_the_partitions(
    config: FacadeConfig, asked: object, default: object, seconds: int | None, is_default: bool
) -> None:
    planned = plan(
        seed(**{"specification__timeAllocation": asked, f"{TOOL}__defaultTimeAllocation": default}), config
    )
    assert (planned.time_limit_seconds, planned.time_is_default) == (seconds, is_default)


@pytest.mark.parametrize(("multi_node", "replicas", "nodes"), [(True, 3, 3), (None, 2, 2), (False, 1, 1)])
def test_a_replica_is_a_node(
    config: FacadeConfig, multi_node: bool | None, replicas: int, nodes: int
) -> None:
    job = seed(**{f"{INVOCATION}__allowMultiNode": multi_node, "specification__replicas": replicas})
    assert _request(plan(job, config)).nodes == nodes


def test_replicas_left_out_are_one(config: FacadeConfig) -> None:
    assert _request(plan(seed(specification__replicas=None), config)).nodes == 1


def test_a_template_is_run_once_beside_the_batch_script(config: FacadeConfig) -> None:
    text = "{{ sbatch('signal', 'USR1') }}"
    text += "{{ srun() }}run {{ value }} {{ debug | flag('-d') }} {{ ucloud.nodes }}"
    native = {
        f"{TOOL}__backend": "NATIVE",
        f"{INVOCATION}__invocation": [{"type": "jinja", "template": text}],
    }
    planned = plan(seed(**native), config)
    assert "\nsrun run 'Hello, World!' -d 1\n" in planned.body.script
    assert "export SLURM_PROCID=0" in planned.body.script
    assert "stdout-%t.log" not in planned.body.script
    assert [(option.name, option.value) for option in _request(planned).options] == [("signal", "USR1")]


def test_a_template_in_a_container_runs_in_each_replica(config: FacadeConfig) -> None:
    invocation = [{"type": "jinja", "template": "{{ srun() }}run"}]
    planned = plan(seed(**{f"{INVOCATION}__invocation": invocation}), config)
    assert "stdout-%t.log" in planned.body.script
    assert "\nrun\n" in planned.body.script


def test_a_template_of_the_environment_is_a_value(config: FacadeConfig) -> None:
    environment = {"T": {"type": "jinja", "template": "<{{ value }}>"}}
    planned = plan(seed(**{f"{INVOCATION}__environment": environment}), config)
    assert "export T='<Hello, World!>'" in planned.body.script


def test_the_tasks_of_a_node_share_its_cores_and_a_replica_stays_one_task(config: FacadeConfig) -> None:
    sbatch = {"ntasks-per-node": {"type": "word", "word": "2"}}
    planned = plan(seed(**{f"{INVOCATION}__sbatch": sbatch}), config)
    assert (_request(planned).tasks_per_node, _request(planned).cpus_per_task) == (2, 2)
    assert 'srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 ' in planned.body.script


def test_a_job_knows_its_machine(config: FacadeConfig) -> None:
    planned = plan(seed(status__resolvedProduct={"name": "p", "cpuModel": "Fast's 1"}), config)
    exported = [line for line in planned.body.script.splitlines() if line.startswith("export UCLOUD_")]
    assert "export UCLOUD_MACHINE_CPU='4'" in exported
    assert "export UCLOUD_MACHINE_MEMORY_IN_GIGS='1.5'" in exported
    assert "export UCLOUD_MACHINE_CPU_MODEL='Fast'\"'\"'s 1'" in exported
    assert "export UCLOUD_QOS='normal'" in exported


@pytest.mark.parametrize(
    ("changes", "port"),
    [
        ({"applicationType": "WEB", "web": {"port": 8080}}, "8080"),
        ({"applicationType": "WEB", "web": {"port": 0}}, ""),
        ({"applicationType": "WEB", "web": None}, ""),
        ({"applicationType": "VNC", "vnc": {"port": 5901}, "web": {"port": 80}}, "5901"),
        ({"applicationType": "BATCH", "web": {"port": 80}}, None),
    ],
)
def test_only_a_web_or_vnc_application_has_a_port(
    config: FacadeConfig, changes: dict[str, Any], port: str | None
) -> None:
    planned = plan(seed(**{f"{INVOCATION}__{key}": value for key, value in changes.items()}), config)
    exported = [line for line in planned.body.script.splitlines() if line.startswith("export UCLOUD_PORT=")]
    assert exported == ([] if port is None else [f"export UCLOUD_PORT='{port}'"])


@pytest.mark.parametrize(
    ("backend", "path"), [("DOCKER", "/work/a b.txt"), ("NATIVE", "/gpfs/home/bob/a b.txt")]
)
def test_the_file_that_the_application_was_opened_with_is_a_path_of_its_own(
    config: FacadeConfig, backend: str, path: str
) -> None:
    job = seed(**{"specification__openedFile": "/4012/a b.txt", f"{TOOL}__backend": backend})
    planned = plan(job, config)
    assert f"export UCLOUD_OPEN_WITH_FILE='{path}'" in planned.body.script
    assert [path.path for path in _request(planned).confined_paths] == ["/gpfs/home/bob/a b.txt"]


def test_files_among_the_resources_must_lie_in_their_drive(config: FacadeConfig) -> None:
    planned = plan(seed(specification__resources=[{"type": "file", "path": "/4012/data"}]), config)
    assert [path.path for path in _request(planned).confined_paths] == ["/gpfs/home/bob/data"]


REFUSED = {
    "a NUL that a template makes": (
        {f"{INVOCATION}__invocation": [{"type": "jinja", "template": "{{ '\\0' }}"}]},
        "holds a NUL",
    ),
    "a template beside other parts": (
        {f"{INVOCATION}__invocation": [{"type": "word", "word": "a"}, {"type": "jinja", "template": "b"}]},
        "a template beside other parts",
    ),
    "a workflow without a template to follow": (
        {
            f"{INVOCATION}__parameters": [{"type": "workflow", "name": "w"}],
            "specification__parameters": {"w": {"type": "workflow", "specification": {"job": "x"}}},
        },
        "no template that a workflow could follow",
    ),
    "a variable of the job in an option of sbatch": (
        {f"{INVOCATION}__sbatch": {"signal": {"type": "env", "variable": "X"}}},
        "cannot be used in an option of sbatch",
    ),
    "software that is not installed": (
        {f"{TOOL}__loadInstructions": {"applications": [{"name": "tool", "version": "1"}]}},
        "software tool 1 is not installed",
    ),
    "a port that there is not": (
        {f"{INVOCATION}__applicationType": "WEB", f"{INVOCATION}__web": {"port": 70000}},
        "port 70000",
    ),
    "an unknown licence among the resources": (
        {"specification__resources": [{"type": "license_server", "id": "acme"}]},
        "licence 'acme' is not available",
    ),
    "block storage": (
        {"specification__resources": [{"type": "block_storage", "id": "7"}]},
        "the job asks for block storage",
    ),
    "a private network": (
        {"specification__resources": [{"type": "private_network", "id": "7"}]},
        "the job asks for a private network",
    ),
    "a resource of unknown type": (
        {"specification__resources": [{"type": "sorcery"}]},
        "resource of type 'sorcery'",
    ),
    "an image that is not mapped": ({f"{TOOL}__image": "other/image:2"}, "other/image:2"),
    "no image": ({f"{TOOL}__image": None}, "container image"),
    "a virtual machine": ({f"{TOOL}__backend": "VIRTUAL_MACHINE"}, "runs no virtual machines"),
    "no backend": ({f"{TOOL}__backend": None}, "applications of type"),
    "no tool": ({f"{INVOCATION}__tool": None}, "applications of type"),
    "an unknown product": ({"specification__product__id": "huge"}, "example-compute/huge"),
    "an unknown category": ({"specification__product__category": "x"}, "x/example-compute-1"),
    "another provider's product": ({"specification__product__provider": "other"}, "example-compute-1"),
    "no product": ({"specification__product": None}, "machine type 'none'"),
    "no replica": ({"specification__replicas": 0}, "at least one replica, not 0"),
    "less than no replica": ({"specification__replicas": -1}, "at least one replica, not -1"),
    "two replicas where one is allowed": ({"specification__replicas": 2}, "one node only; 2 were asked"),
    "no time": ({"specification__timeAllocation": {"hours": 0}}, "time allocation"),
    "more replicas than any cluster has nodes": (
        {"specification__replicas": 5_000_000_000},
        "at most 1000000 replicas",
    ),
    "more time than any job gets": (
        {"specification__timeAllocation": {"hours": 2_000_000}},
        "at most 10 years",
    ),
    "a default of more time than any job gets": (
        {
            "specification__timeAllocation": None,
            f"{TOOL}__defaultTimeAllocation": {"hours": 10**40},
        },
        "at most 10 years",
    ),
    "a default of less than no time": (
        {"specification__timeAllocation": None, f"{TOOL}__defaultTimeAllocation": {"hours": -1}},
        "time allocation",
    ),
    "half a character in a value": (
        {"specification__parameters__value__value": "\ud800"},
        r"specification\.parameters\.value\.value: the text is not Unicode",
    ),
    "half a character in a default": (
        {f"{INVOCATION}__parameters": [{"type": "text", "name": "p", "defaultValue": {"value": "\ud800"}}]},
        "defaultValue.value: the text is not Unicode",
    ),
    "half a character in the command line": (
        {f"{INVOCATION}__invocation": [{"type": "word", "word": "\ud800"}]},
        r"invocation\.0\.word: the text is not Unicode",
    ),
    "less than no time": ({"specification__timeAllocation": {"hours": -1}}, "time allocation"),
    "a line end in the job's name": ({"specification__name": "a\nb"}, r"a\\nb"),
    "an escape in the job's name": ({"specification__name": "a\x1b"}, r"a\\x1b"),
    "a line end in the application": ({f"{APPLICATION}__metadata__name": "a\nrm"}, r"a\\nrm"),
    "a line end in the version": ({f"{APPLICATION}__metadata__version": "1\n2"}, r"1\\n2"),
    "no application": ({APPLICATION: None}, "application"),
    "an application without command line": ({f"{INVOCATION}__invocation": []}, "application"),
    "an extra resource": (
        {"specification__resources": [{"type": "network", "id": "7"}]},
        "the job asks for a public IP address",
    ),
    "a parameter of the wrong type": (
        {"specification__parameters__value": {"type": "integer", "value": 1}},
        "'value' takes text, not integer",
    ),
    "a parameter left out": ({"specification__parameters": None}, "'debug' needs a value"),
    "a variable that bash has not": (
        {f"{INVOCATION}__environment": {"A-B": {"type": "word", "word": "x"}}},
        "A-B",
    ),
}


@pytest.mark.parametrize(("changes", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_a_job_that_cannot_run_is_refused_in_words_that_name_why(
    config: FacadeConfig, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(LaunchError, match=named):
        plan(seed(**changes), config)


@pytest.mark.parametrize("job_id", ["54112", "a", "A-b_9", "x" * 64])
def test_an_id_that_can_be_part_of_a_path_is_taken(job_id: str) -> None:
    assert checked_job_id(job_id) == job_id


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a b", "1\n", "'", "$(id)", "é", "x" * 65])
def test_an_id_that_could_do_harm_in_a_path_or_a_script_is_refused(config: FacadeConfig, job_id: str) -> None:
    with pytest.raises(LaunchError, match="cannot be the id of a job"):
        plan(seed(id=job_id), config)


def test_the_owner_of_a_name_with_a_brace_is_filled_in_as_it_is(config: FacadeConfig) -> None:
    request = plan(seed(), config).submit_request(
        local_user="{job}", account="", tag="t", job_folder="/jobs/{user}/{job}"
    )
    assert request.folder == "/jobs/{job}/54112"


def _request(planned: Plan) -> Any:
    return planned.submit_request(local_user="alice", account="users", tag="t", job_folder="~/{job}")


@pytest.mark.parametrize(
    ("requeue", "suspend", "restart_on_exit", "may"),
    [
        (None, "suspend", None, False),
        (None, "suspend", False, False),
        (None, "suspend", True, True),
        (None, "requeue-hold", None, True),
        (True, "suspend", None, True),
        (False, "suspend", True, False),
    ],
)
def test_slurm_may_start_a_job_again_where_its_user_or_the_site_wants_it(
    config: FacadeConfig, requeue: bool | None, suspend: str, restart_on_exit: bool | None, may: bool
) -> None:
    changes = {"requeue": requeue, "suspend": SuspendBy(suspend)}
    products = [product.model_copy(update=changes) for product in config.products]
    planned = plan(
        seed(specification__restartOnExit=restart_on_exit), config.model_copy(update={"products": products})
    )
    request = planned.submit_request(local_user="alice", account="users", tag="uc-1", job_folder="/{job}")
    assert planned.restart_on_exit is bool(restart_on_exit)
    assert request.requeue is may
