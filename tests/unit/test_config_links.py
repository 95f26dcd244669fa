"""Public links in the configuration: what can be offered, and which mistakes are named."""

from pathlib import Path

import pytest

from slurm_provider.config import ConfigError, FacadeConfig, load_facade
from tests.unit.builders import CONFIG, config_file

WEB = """
[web]
suffix = ".example.com"
"""
LINKS = """
[[public_links]]
category = "links"
id = "links"
prefix = "App-"
suffix = ".Example.com"
"""


def config(folder: Path, more: str) -> FacadeConfig:
    return load_facade(config_file(folder, CONFIG + more))


def test_prefixes_and_suffixes_are_kept_as_domains_are_compared(tmp_path: Path) -> None:
    found = config(tmp_path, WEB + LINKS).public_link("links", "links")
    assert found is not None
    assert (found.prefix, found.suffix) == ("app-", ".example.com")


def test_a_category_of_links_is_free_and_counted_in_links(tmp_path: Path) -> None:
    links = config(tmp_path, WEB + LINKS)
    assert (links.category("links").unit, links.category("links").free_to_use) == ("Link", True)
    assert links.category("example-compute").unit == "Core"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (LINKS, "public_links need the gateway that they lead to: set up [web]"),
        (WEB + LINKS + LINKS, "there are two public_links called 'links/links'"),
        (
            WEB + LINKS.replace('category = "links"', 'category = "example-compute"'),
            "the category 'example-compute' cannot hold both machines and public links",
        ),
        (WEB + LINKS.replace(".Example.com", "example"), "public_links.0.suffix"),
        (WEB + LINKS.replace(".Example.com", ".example.com."), "public_links.0.suffix"),
        (WEB + LINKS.replace(".Example.com", ".example..com"), "public_links.0.suffix"),
        (WEB + LINKS.replace("App-", "my.app-"), "public_links.0.prefix"),
        (WEB + LINKS.replace("App-", "-"), "public_links.0.prefix"),
    ],
)
def test_links_that_could_lead_nowhere_are_a_mistake(tmp_path: Path, more: str, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, more)
    assert why in str(error.value)
