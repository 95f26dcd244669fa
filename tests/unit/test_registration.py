"""Products are registered at today's Core as the configuration has them, and never in the start's way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from slurm_provider.config import ConfigError, Core, Era, FacadeConfig, load_facade
from slurm_provider.core import CoreClient, TodaysCore
from slurm_provider.tracker.registration import Registration, compute_product, link_product
from tests.support.standin import CoreStandin, running_core
from tests.unit.builders import CONFIG, config_file

REGISTERING = (
    CONFIG.replace("[jobmap]", 'era = "today"\nregister_products = true\n\n[jobmap]')
    .replace('category = "example-compute"', 'category = "u1"')
    .replace('id = "example-compute-1"', 'id = "u1-4"\nprice = 4\ncpu_model = "Zen 4"')
    .replace("[[drives]]", '[categories.u1]\nunit = "Core"\nunit_plural = "Cores"\n\n[[drives]]')
)


def config(folder: Path, text: str = REGISTERING) -> FacadeConfig:
    return load_facade(config_file(folder, text))


@pytest_asyncio.fixture(loop_scope="session")
async def core(tmp_path: Path) -> AsyncIterator[CoreStandin]:
    async with running_core(tmp_path / "core", era="today") as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def todays(core: CoreStandin, tmp_path: Path) -> AsyncIterator[TodaysCore]:
    section = Core(
        url=core.url,
        public_key_file=tmp_path / "core/provider.pub",
        refresh_token_file=tmp_path / "core/refresh-token",
        era=Era.TODAY,
    )
    async with CoreClient(section) as client:
        yield TodaysCore(client)


def test_a_product_is_what_the_configuration_says(tmp_path: Path) -> None:
    configured = config(tmp_path)
    product = json.loads(compute_product(configured.products[0], configured).model_dump_json())
    assert product == {
        "type": "compute",
        "productType": "COMPUTE",
        "name": "u1-4",
        "description": "u1-4 in the partition main",
        "price": 4,
        "category": {
            "name": "u1",
            "provider": "example",
            "productType": "COMPUTE",
            "accountingUnit": {
                "name": "Core",
                "namePlural": "Cores",
                "floatingPoint": False,
                "displayFrequencySuffix": True,
            },
            "accountingFrequency": "PERIODIC_MINUTE",
            "freeToUse": False,
            "allowSubAllocations": True,
        },
        "cpu": 4,
        "memoryInGigs": 2,
        "gpu": 2,
        "cpuModel": "Zen 4",
        "memoryModel": None,
        "gpuModel": None,
        "fraction": {"numerator": 1, "denominator": 1},
    }


async def test_products_are_registered_and_renewed(
    core: CoreStandin, todays: TodaysCore, tmp_path: Path
) -> None:
    await Registration(config(tmp_path), todays).run()
    await Registration(config(tmp_path, REGISTERING.replace("price = 4", "price = 5")), todays).run()
    [shown] = [product for product in await core.products_v2() if product["name"] == "u1-4"]
    assert (shown["price"], shown["category"]["accountingUnit"]["name"]) == (5, "Core")
    assert await core.violations() == []


async def test_a_core_that_is_away_is_asked_again(
    core: CoreStandin, todays: TodaysCore, tmp_path: Path
) -> None:
    await core.behave(down=True)
    registering = asyncio.create_task(Registration(config(tmp_path), todays, 0.01).run())
    await core.wait("providers/refresh", accepted=False)
    await core.behave(down=False)
    await registering
    assert "u1-4" in [product["name"] for product in await core.products_v2()]


async def test_what_can_never_change_is_refused_in_words(
    core: CoreStandin, todays: TodaysCore, tmp_path: Path
) -> None:
    await Registration(config(tmp_path), todays).run()
    changed = REGISTERING.replace("[categories.u1]", '[categories.u1]\nfrequency = "PERIODIC_HOUR"')
    with capture_logs() as logs:
        await Registration(config(tmp_path, changed), todays).run()
    [said] = [entry for entry in logs if entry["log_level"] == "error"]
    assert said["product"] == "u1/u1-4"
    assert "accountingFrequency" in said["reason"]
    await core.clear_violations()


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('era = "today"', "", 'needs core.era = "today"'),
        ("price = 4", "", "needs each product's price; 'u1-4' has none"),
        ("price = 4", "price = -1", "greater than or equal to 0"),
        ('unit = "Core"', 'frequency = "SOMETIMES"', "PERIODIC_MINUTE"),
    ],
)
def test_a_configuration_that_cannot_be_registered_is_refused(
    tmp_path: Path, old: str, new: str, mistake: str
) -> None:
    text: Any = REGISTERING.replace(old, new)
    with pytest.raises(ConfigError, match=mistake):
        config(tmp_path, text)


LINKS = """
[web]
suffix = ".example.com"

[[public_links]]
category = "links"
id = "links"
suffix = ".example.com"
"""


async def test_public_links_are_registered_beside_the_machines(
    core: CoreStandin, todays: TodaysCore, tmp_path: Path
) -> None:
    await Registration(config(tmp_path, REGISTERING + LINKS), todays).run()
    [links] = [product for product in await core.products_v2() if product["name"] == "links"]
    assert (links["type"], links["productType"], links["price"]) == ("ingress", "INGRESS", 0)
    assert links["category"]["freeToUse"] is True
    assert links["category"]["accountingUnit"]["namePlural"] == "Links"


def test_a_category_of_links_that_core_has_already_can_be_described(tmp_path: Path) -> None:
    described = '[categories.links]\nunit = "Public link"\nfrequency = "PERIODIC_DAY"\n'
    configured = config(tmp_path, REGISTERING + LINKS + described)
    category = link_product(configured.public_links[0], configured).category
    assert (category.accountingUnit.name, category.accountingFrequency) == ("Public link", "PERIODIC_DAY")
