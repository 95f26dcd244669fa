"""What a user may choose beside the application: offered to no other, never trusted when it comes back."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.config import load_facade
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.product_choice import as_chosen
from slurm_provider.rpc.v1.queue_pb2 import Association, Limits
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.choices import UserChoices
from slurm_provider.tracker.module_list import ModuleList, modules_of
from slurm_provider.ucloud.jobs import Job
from tests.support.jobs import DATA
from tests.unit.builders import CONFIG, config_file

SPIDER = DATA / "modules/lmod-8.6-jsonSoftwarePage.json"
CHOICES = """
partition_choices = ["big"]
qos_choices = ["brief"]

[choices]
accounts = ["{account}", "bio*"]
project_accounts = ["{account}-*"]
modules = ["R/4.2"]
"""
LIMITS = Limits(
    associations=[
        Association(user="alice", account=account) for account in ("users", "bio", "bio-x", "physics")
    ]
    + [Association(user="bob", account="biology")]
)


def choices(folder: Path, more: str = CHOICES) -> UserChoices:
    return UserChoices(load_facade(config_file(folder, CONFIG + more)))


async def obey(
    folder: Path, made: Job, asked: SubmitRequest, *, more: str = CHOICES, limits: Limits | None = LIMITS
) -> None:
    """Put into a request what a job's user has chosen."""
    site = choices(folder, more)
    [product] = load_facade(folder / "config.toml").products
    values = (made.specification.parameters if made.specification else None) or {}
    chosen = as_chosen(product, values)
    asked.partition, asked.qos = chosen.partition, chosen.qos or ""
    await site.apply(made, asked, limits)


def request() -> SubmitRequest:
    return SubmitRequest(local_user="alice", account="users", partition="main", qos="normal")


def job(project: str | None = None, **values: Any) -> Job:
    parameters = {
        f"_injected_{name}": {"type": "modules", "modules": value}
        if isinstance(value, list)
        else {"type": "text", "value": value}
        for name, value in values.items()
    }
    owner = {"createdBy": "user", "project": project}
    return Job.model_validate({"id": "1", "owner": owner, "specification": {"parameters": parameters}})


async def offered(folder: Path, *, in_project: bool = False, more: str = CHOICES) -> dict[str, Any]:
    identity = ("alice", "bio" if in_project else "users", in_project, LIMITS)
    parameters = await choices(folder, more).offered([identity])
    return {parameter.name: parameter.model_dump() for parameter in parameters}


async def test_only_what_leaves_a_choice_is_offered(tmp_path: Path) -> None:
    assert await offered(tmp_path, more="") == {}
    assert await offered(tmp_path, more='[choices]\naccounts = ["users"]\n') == {}


async def test_accounts_are_those_that_user_and_site_agree_on(tmp_path: Path) -> None:
    form = await offered(tmp_path)
    names = [option["name"] for option in form["_injected_slurmAccount"]["options"]]
    assert names == ["bio", "bio-x", "users"]
    form = await offered(tmp_path, in_project=True)
    names = [option["name"] for option in form["_injected_slurmAccount"]["options"]]
    assert names == ["bio", "bio-x"]


async def test_partitions_qos_and_modules_are_offered(tmp_path: Path) -> None:
    form = await offered(tmp_path)
    assert [o["value"] for o in form["_injected_slurmPartition"]["options"]] == ["main", "big"]
    assert [o["value"] for o in form["_injected_slurmQos"]["options"]] == ["normal", "brief"]
    assert [m["name"] for m in form["_injected_modules"]["supportedModules"]] == ["R/4.2"]
    assert all(parameter["optional"] for parameter in form.values())


@pytest.mark.parametrize(
    ("chosen", "changed"),
    [
        ({}, {}),
        ({"slurmAccount": ""}, {}),
        ({"slurmAccount": "users"}, {}),
        ({"slurmAccount": "bio-x"}, {"account": "bio-x"}),
        ({"slurmPartition": "big", "slurmQos": "brief"}, {"partition": "big", "qos": "brief"}),
        ({"modules": ["R/4.2"]}, {}),
        ({"somethingElse": "x"}, {}),
    ],
)
async def test_a_choice_takes_effect(tmp_path: Path, chosen: dict[str, Any], changed: dict[str, str]) -> None:
    asked, wanted = request(), request()
    for name, value in changed.items():
        setattr(wanted, name, value)
    await obey(tmp_path, job(**chosen), asked)
    assert asked == wanted


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"slurmAccount": "physics"}, "account 'physics' is not yours"),  # hers, but not the site's to choose
        ({"slurmAccount": "biology"}, "account 'biology' is not yours"),  # the site's, but bob's
        ({"slurmAccount": "*"}, "is not yours"),
        ({"slurmAccount": 5}, "takes a text"),
        ({"slurmPartition": "short"}, "partition 'short' is not yours"),
        ({"slurmQos": "urgent"}, "QOS 'urgent' is not yours"),
        ({"modules": ["R/4.2", "$(id)"]}, "module '\\$\\(id\\)' is not yours"),
    ],
)
async def test_what_was_not_offered_is_refused(tmp_path: Path, chosen: dict[str, Any], words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        await obey(tmp_path, job(**chosen), request())


async def test_nothing_is_anybodys_to_choose_where_the_site_leaves_no_choice(tmp_path: Path) -> None:
    for chosen in ({"slurmAccount": "bio"}, {"slurmPartition": "big"}, {"modules": ["R/4.2"]}):
        with pytest.raises(LaunchError, match="is not yours to choose"):
            await obey(tmp_path, job(**chosen), request(), more="")


async def test_an_account_cannot_be_chosen_while_associations_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="is not yours to choose"):
        await obey(tmp_path, job(slurmAccount="bio"), request(), limits=None)


async def test_a_job_in_a_project_leaves_its_project_only_as_the_site_says(tmp_path: Path) -> None:
    asked = request()
    asked.account = "bio"
    await obey(tmp_path, job(project="p", slurmAccount="bio-x"), asked)
    assert asked.account == "bio-x"
    asked.account = "bio"
    with pytest.raises(LaunchError, match="is not yours to choose"):
        await obey(tmp_path, job(project="p", slurmAccount="users"), asked)


def test_an_adopted_job_is_looked_for_under_the_account_that_was_chosen(tmp_path: Path) -> None:
    site = choices(tmp_path)
    assert site.account(job(slurmAccount="bio"), "alice", "users", LIMITS) == "bio"
    assert site.account(job(slurmAccount="biology"), "alice", "users", LIMITS) == "users"
    assert site.account(job(slurmAccount=5), "alice", "users", LIMITS) == "users"
    assert site.account(job(), "alice", "users", LIMITS) == "users"


# modules


def test_lmods_software_page_is_read() -> None:
    modules = {module.name: module.model_dump() for module in modules_of(json.loads(SPIDER.read_text()))}
    assert modules["gcc/12.2.0"] == {
        "name": "gcc/12.2.0",
        "description": "GNU compilers\nC, C++, Fortran",
        "shortDescription": "GNU compilers",
        "dependsOn": [],
        "documentationUrl": "https://gcc.gnu.org",
    }
    assert modules["openmpi/4.1.4"]["dependsOn"] == [["gcc/12.2.0"]]
    assert set(modules) == {"gcc/12.2.0", "openmpi/4.1.4", "python/3.11.2"}


@pytest.mark.parametrize("odd", [{}, [5], [{"versions": [{}]}], [{"versions": "x"}], None])
def test_what_lmod_never_prints_is_refused(odd: Any) -> None:
    with pytest.raises(ValueError, match="jsonSoftwarePage"):
        modules_of(odd)


def test_the_list_follows_the_file_and_outlives_its_mistakes(tmp_path: Path) -> None:
    page = tmp_path / "modules.json"
    more = f'[choices]\nmodules = ["R/4.2", "python/3.11.2"]\nmodules_file = "{page}"\n'
    names = ModuleList(load_facade(config_file(tmp_path, CONFIG + more)).choices)

    def listed() -> list[str]:
        return [module.name for module in names.modules()]

    assert listed() == ["R/4.2", "python/3.11.2"]
    page.write_bytes(SPIDER.read_bytes())
    assert listed() == ["R/4.2", "gcc/12.2.0", "openmpi/4.1.4", "python/3.11.2"]
    page.write_text("[{")
    os.utime(page, (0, 0))
    assert listed() == ["R/4.2", "gcc/12.2.0", "openmpi/4.1.4", "python/3.11.2"]
    page.write_text("[]")
    os.utime(page, (1, 1))
    assert listed() == ["R/4.2", "python/3.11.2"]
