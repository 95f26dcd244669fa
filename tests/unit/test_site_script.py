"""What a program of the site answers becomes part of a template's text, and nothing else can be run."""

import json
import time
from pathlib import Path

import pytest

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.template import Rendering, Template
from slurm_provider.tracker.rendering import render_apart

ECHO = """#!/bin/sh
printf '{"output": "echo '
tr -d '"{} ' <"$1" | tr , ' '
printf '"}'
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    write(folder / "echo", ECHO)
    write(tmp_path / "outside", ECHO)
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def rendered(scripts: Path, text: str) -> str:
    rendering = Rendering([Template(text)], {"n": 3}, ucloud={"jobId": "54112"}, scripts=True)
    return render_apart(rendering, str(scripts)).texts[0]


def test_the_output_stands_in_its_place_as_it_is(scripts: Path) -> None:
    text = rendered(scripts, "{{ n }}: {{ script('echo') }}; {{ script(\"echo\") }}")
    said = "echo parameters:n:3 ucloud:jobId:54112"
    assert text == f"3: {said}; {said}"


def test_a_script_can_be_named_by_its_whole_path(scripts: Path) -> None:
    assert rendered(scripts, f"{{{{ script('{scripts}/echo') }}}}").startswith("echo ")


@pytest.mark.parametrize("name", ["nothing", "../outside", "/bin/sh", ".", "", "link"])
def test_what_does_not_lie_in_the_sites_folder_is_not_run(scripts: Path, name: str) -> None:
    (scripts / "link").symlink_to("../outside")
    with pytest.raises(LaunchError, match="which this site does not have"):
        rendered(scripts, f"{{{{ script('{name}') }}}}")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo broken >&2; exit 3", "failed: broken"),
        ("echo no JSON", "does not answer in JSON"),
        ("echo '[]'", "does not answer in JSON"),
        ("echo '{\"output\": 1}'", "is no text, or too long"),
        ("printf '{\"output\": \"%s\"}' '\\u0000'", "is no text, or too long"),
        ("sleep 60", "does not answer"),
    ],
)
def test_a_script_that_has_no_output_is_told_in_words(scripts: Path, script: str, why: str) -> None:
    write(scripts / "bad", f"#!/bin/sh\n{script}\n")
    begun = time.monotonic()
    with pytest.raises(LaunchError, match=why):
        rendered(scripts, "{{ script('bad') }}")
    assert time.monotonic() - begun < 20


def test_the_facts_are_json_that_any_value_survives(scripts: Path) -> None:
    write(scripts / "same", '#!/bin/sh\ncat "$1" >"$(dirname "$0")/facts"\necho \'{"output": ""}\'\n')
    rendering = Rendering([Template("{{ script('same') }}")], {"t": 'it\'s "€"\n'}, scripts=True)
    assert render_apart(rendering, str(scripts)).texts == [""]
    assert json.loads((scripts / "facts").read_text())["parameters"] == {"t": 'it\'s "€"\n'}
