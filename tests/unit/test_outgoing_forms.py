"""What is sent to Core and read from it, in the forms of both eras, kept as JSON in tests/data/eras."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from slurm_provider.config import Core
from slurm_provider.core import CoreClient, TodaysCore
from slurm_provider.ucloud.control import (
    ChargeItem,
    JobUpdate,
    JobUpdateItem,
    RegisteredSpecification,
    RegisterItem,
    UsageCategory,
    UsageDescription,
    UsageItem,
    UsageOwner,
)
from slurm_provider.ucloud.ingresses import IngressState, IngressUpdate, IngressUpdateItem
from slurm_provider.ucloud.jobs import JobState, NameAndVersion, ProductReference, SimpleDuration
from slurm_provider.ucloud.products import AccountingUnit, ComputeProduct, LinkProduct, ProductCategory
from tests.support.processes import ROOT
from tests.support.tiny_core import Reply, tiny_core

EXCHANGES = json.loads((ROOT / "tests/data/eras/outgoing.json").read_text())
PROJECT = "59d3ae5c-7f2d-4c1a-9a9f-5a7a2a0f6b11"
OUTSIDE = "hpc/77/1700000000"

UPDATE = JobUpdateItem(
    id="54112", update=JobUpdate(state=JobState.RUNNING, status="The job is now running!")
).model_dump_json()
PRODUCT = ComputeProduct(
    name="u1-4",
    description="4 vCPU",
    price=4,
    category=ProductCategory(
        name="u1",
        provider="example",
        accountingUnit=AccountingUnit(
            name="Core", namePlural="Core", floatingPoint=False, displayFrequencySuffix=True
        ),
        accountingFrequency="PERIODIC_MINUTE",
        freeToUse=False,
        allowSubAllocations=True,
    ),
    cpu=4,
    memoryInGigs=16,
).model_dump_json()
LINK_UPDATE = IngressUpdateItem(
    id="41231", update=IngressUpdate(state=IngressState.READY, status="The public link is ready to be used")
).model_dump_json()
LINKS = LinkProduct(
    name="example-ingress",
    description="Public links such as app-NAME.provider.example.com",
    price=0,
    category=ProductCategory(
        name="example-ingress",
        provider="example",
        productType="INGRESS",
        accountingUnit=AccountingUnit(
            name="Link", namePlural="Links", floatingPoint=False, displayFrequencySuffix=False
        ),
        accountingFrequency="ONCE",
        freeToUse=True,
        allowSubAllocations=True,
    ),
).model_dump_json()
REGISTERED = RegisterItem(
    spec=RegisteredSpecification(
        application=NameAndVersion(name="unknown", version="unknown"),
        product=ProductReference(id="u1-4", category="u1", provider="example"),
        name="train (SlurmID: 77)",
        replicas=1,
        timeAllocation=SimpleDuration(hours=1),
    ),
    providerGeneratedId=OUTSIDE,
    createdBy="user",
    project=None,
).model_dump_json()


def charge(charge_id: str, units: int) -> str:
    return ChargeItem(id="54112", chargeId=charge_id, units=units, periods=2).model_dump_json()


def usage(owner: UsageOwner, scope: str) -> str:
    return UsageItem(
        owner=owner,
        categoryIdV2=UsageCategory(name="example-compute", provider="example"),
        usage=30,
        description=UsageDescription(scope=scope),
    ).model_dump_json()


async def charged(client: CoreClient) -> list[str]:
    return sorted((await client.charge([charge("example-54112-0-15", 15)])).without_funds)


async def checked(client: CoreClient) -> list[str]:
    return sorted((await client.check_credits([charge("example-54112-check-3", 1)])).without_funds)


async def retrieved(client: CoreClient) -> str:
    return (await client.retrieve("54112")).id


async def link(client: CoreClient) -> str:
    return (await client.retrieve_link("41231")).specification.domain


async def keys(client: CoreClient) -> list[str]:
    return [key.specification.key for key in await client.ssh_keys("54112") if key.specification]


CALLS: Mapping[str, Callable[[CoreClient], Awaitable[Any]]] = {
    "update": lambda client: client.update([UPDATE]),
    "ingresses/control/update": lambda client: client.update_links([LINK_UPDATE]),
    "chargeCredits": charged,
    "checkCredits": checked,
    "retrieve": retrieved,
    "ingresses/control/retrieve": link,
    "browseSshKeys": keys,
    "approveConnection": lambda client: client.approve_connection("user"),
    "clearConnection": lambda client: client.clear_connection("user"),
    "reportUsage (user)": lambda client: TodaysCore(client).report_usage(
        [usage(UsageOwner(type="user", username="user"), "example-54112")]
    ),
    "reportUsage (project)": lambda client: TodaysCore(client).report_usage(
        [usage(UsageOwner(type="project", projectId=PROJECT), "example-54112-r1")]
    ),
    "checkExistence": lambda client: TodaysCore(client).check_existence(["54112", "54113"]),
    "products/v2": lambda client: TodaysCore(client).register_products([PRODUCT]),
    "products/v2 (public links)": lambda client: TodaysCore(client).register_products([LINKS]),
    "register": lambda client: TodaysCore(client).register_job(REGISTERED),
    "browse": lambda client: TodaysCore(client).find_job(OUTSIDE),
}


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange["call"] for exchange in EXCHANGES])
async def test_each_call_is_sent_and_read_in_cores_own_form(tmp_path: Path, exchange: Any) -> None:
    (tmp_path / "provider.pub").touch()
    (tmp_path / "refresh-token").write_text("a token\n")
    async with tiny_core() as core:
        core.reply = lambda _path, _body: Reply(200, exchange["response"])
        section = Core(
            url=core.url,
            public_key_file=tmp_path / "provider.pub",
            refresh_token_file=tmp_path / "refresh-token",
        )
        async with CoreClient(section) as client:
            means = await CALLS[exchange["call"]](client)
        assert (core.targets[-1], core.calls[-1][1]) == (exchange["sent"], exchange["request"])
        assert means == exchange["means"]


def test_every_call_has_its_json() -> None:
    assert [exchange["call"] for exchange in EXCHANGES] == list(CALLS)
