"""The site's software is loaded where a tool or a template asks for it."""

import pytest

from slurm_provider.config import InstalledApplication, System
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.software import Software
from slurm_provider.launch.template import Rendering, Template, render
from slurm_provider.ucloud.jobs import NameAndVersion

INSTALLED = {
    f"tool@{version}": InstalledApplication(load=f"load tool {version}", unload=f"unload tool {version}")
    for version in ("1.9", "1.10", "2.0")
} | {"other@1": InstalledApplication(load="n=${#a}")}
SYSTEM = System(load="load system", unload="unload system")


def software(*needed: tuple[str, str]) -> Software:
    return Software(INSTALLED, SYSTEM, [NameAndVersion(name=name, version=v) for name, v in needed])


def rendered(text: str, *needed: tuple[str, str]) -> str:
    return render(Rendering([Template(software(*needed).template(text))])).texts[0]


def test_a_tool_that_names_no_software_loads_nothing() -> None:
    assert software().load_lines() == []


def test_a_tools_software_is_loaded_after_the_systems_own() -> None:
    lines = software(("tool", "2.0"), ("other", "1")).load_lines()
    assert lines == ["load system", "load tool 2.0", "n=${#a}"]


@pytest.mark.parametrize(
    ("text", "bash"),
    [
        ("{- systemLoad -}|{- systemUnload -}", "load system|unload system"),
        (
            '{-loadApplication("tool","2.0")-}|{- unloadApplication("tool", "2.0") -}',
            "load tool 2.0|unload tool 2.0",
        ),
        ("{{- 'a' -}}", "'a'"),
        ("{%- if true -%} a {%- endif -%}", "a"),
        ('{- loadApplication("other", "1") -}', "n=${#a}"),
    ],
)
def test_a_tag_becomes_the_sites_own_bash_and_jinja_keeps_its_dashes(text: str, bash: str) -> None:
    assert rendered(text) == bash


def test_a_template_that_loads_nothing_finds_its_software_loaded() -> None:
    assert rendered("run", ("tool", "2.0")) == "load system\nload tool 2.0\nrun"


def test_a_template_that_says_where_its_software_is_loaded_has_it_there_only() -> None:
    text = "a\n{- applicationLoad -}\nb\n{- applicationUnload -}"
    assert rendered(text, ("tool", "2.0")) == "a\nload tool 2.0\nb\nunload tool 2.0"


@pytest.mark.parametrize(
    ("policy", "wanted", "loaded"),
    [
        ('"strict"', "1.10", "1.10"),
        ('"loose"', "1.9.5", "1.10"),
        ('"loose"', "3", "2.0"),
        ('"loose-forward"', "1.9.5", "1.10"),
        ('"loose-backward"', "1.9.5", "1.9"),
        ('"loose-backward"', "1.10", "1.10"),
        ('"tool", "loose"', "3", "2.0"),
        ('"2.0"', "1.9", "2.0"),
        ('"other", "loose"', "1.9", "1.9"),
    ],
)
def test_the_version_is_the_one_that_the_policy_allows(policy: str, wanted: str, loaded: str) -> None:
    text = f'{{- versionResolver({policy}) -}}{{- loadApplication("tool", "{wanted}") -}}'
    assert rendered(text) == f"load tool {loaded}"


@pytest.mark.parametrize(
    "text",
    [
        '{- loadApplication("tool", "3") -}',
        '{- loadApplication("unknown", "1") -}',
        '{- versionResolver("loose-forward") -}{- loadApplication("tool", "3") -}',
        '{- versionResolver("loose-backward") -}{- loadApplication("tool", "1") -}',
        '{- versionResolver("other", "loose") -}{- loadApplication("tool", "3") -}',
    ],
)
def test_software_that_is_not_installed_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(LaunchError, match="is not installed on this provider"):
        rendered(text)


@pytest.mark.parametrize("tag", ["{- sorcery -}", '{- loadApplication("tool") -}', '{- systemLoad("x") -}'])
def test_a_tag_that_is_not_known_is_refused_as_it_stands(tag: str) -> None:
    with pytest.raises(LaunchError) as refused:
        rendered(f"a{tag}b")
    assert str(refused.value) == f"the application's template has the unknown tag {tag}"


@pytest.mark.parametrize("text", ["{- a" + " " * 200_000, "{-" * 100_000, '{- a("' + "x" * 200_000])
def test_text_that_is_nearly_a_tag_is_read_at_once(text: str) -> None:
    assert software().template(text) == text
