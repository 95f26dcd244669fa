"""Whatever a user types, the program in the job receives exactly that text: on the real Slurm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from slurm_provider.launch.quoting import quoted
from tests.support.applications import SOFTWARE_IMAGE, job_of, template, words
from tests.support.jobs import bulk
from tests.support.stack import Stack

# The program prints what it received as JSON in ASCII, whatever the locale of the job.
ARGUMENTS = """\
import json, os, sys
print(json.dumps([os.fsencode(argument).decode() for argument in sys.argv[1:]]))
"""
VARIABLES = """\
import json, os
print(json.dumps({name.decode(): value.decode() for name, value in os.environb.items() if name[:2] == b"T_"}))
"""
NASTY = [
    *("", " ", "\t", "\n", "\r", "\r\n", "a\r\nb\r\n", "\n\n", " a ", "a\nb", "\\", "\\\n", "\\n", "a\\"),
    *("'", '"', "''", "'\"'\"'", "`id`", "$(id)", "$HOME", "${HOME}", "$'\\n'", "!!", "~", "*", "?", "[a]"),
    *(
        "-n",
        "--",
        "-",
        "#",
        "#SBATCH --uid=0",
        "\n#SBATCH --uid=0\n",
        ";id",
        "|",
        "&",
        "<",
        ">",
        "%j",
        "{a,b}",
    ),
    *("{{ x }}", "{% raw %}", "{# x #}", "{- systemLoad -}", "END", "EOF", "\nEOF\n", "\\x41", "\\u0041"),
    *(
        "é",
        "e\u0301",
        "\u202eabc",
        "שלום",
        "مرحبا",
        "日本",
        "😀",
        "👩\u200d👩\u200d👧",
        "\ufeff",
        "\u2028",
        "\u0085",
    ),
    *(chr(code) for code in range(1, 32)),
    *(
        "\x7f",
        "\x80",
        "\x9b",
        "\ufffd",
        "\U0010ffff",
        "\ud7ff",
        "\x01\x7f\x01",
        "a" * 5000,
        "'" * 300,
        "\\" * 301,
    ),
]
ROOM_BYTES = 100_000
"""The quoted text that one job is given."""

BASES = ["native-script", SOFTWARE_IMAGE]


def any_texts(count: int) -> list[str]:
    """Return texts that a user can type: nasty ones, and as many as `count` that hypothesis thinks of."""
    found = list(NASTY)

    @settings(
        max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
    def think(text: str) -> None:
        found.append(text)

    think()
    return found


def portions(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in portions that fit one job."""
    portion: list[str] = []
    room = ROOM_BYTES
    for text in texts:
        size = len(quoted(text).encode()) + 20
        if size > room:
            yield portion
            portion, room = [], ROOM_BYTES
        portion.append(text)
        room -= size
    yield portion


def text_parameters(texts: list[str]) -> dict[str, Any]:
    """Return the declarations and values of parameters t0, t1, …"""
    return {
        "parameters": {f"t{number}": {"type": "text"} for number in range(len(texts))},
        "values": {f"t{number}": {"type": "text", "value": text} for number, text in enumerate(texts)},
    }


async def received(stack: Stack, made: Any) -> Any:
    """Return what the program of a job has printed."""
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 200, answer
    update = await stack.core.wait_update(made["id"], state="SUCCESS", timeout=90)
    assert "exit code" not in (update["status"] or ""), update
    return json.loads(stack.output("alice", made["id"]))


@pytest.mark.parametrize("base", BASES)
async def test_a_program_receives_each_word_and_each_value_as_it_was_typed(stack: Stack, base: str) -> None:
    for texts in portions(any_texts(2000)):
        middle = len(texts) // 2
        names = [f"t{number}" for number in range(len(texts) - middle)]
        made = job_of(
            *words("/usr/bin/python3", "-c", ARGUMENTS, *texts[:middle]),
            {"type": "var", "variableNames": names},
            base=base,
            **text_parameters(texts[middle:]),
        )
        assert await received(stack, made) == texts


@pytest.mark.parametrize("base", BASES)
async def test_a_template_gives_each_value_as_it_was_typed(stack: Stack, base: str) -> None:
    for texts in portions(any_texts(1000)):
        values = " ".join(f"{{{{ t{number} }}}}" for number in range(len(texts)))
        made = job_of(
            template(f"/usr/bin/python3 -c '{ARGUMENTS}' {values}"), base=base, **text_parameters(texts)
        )
        assert await received(stack, made) == texts


async def test_a_templates_option_gives_its_value_as_it_was_typed(stack: Stack) -> None:
    for texts in portions(any_texts(300)):
        values = " ".join(f'{{{{ t{number} | option("--o=") }}}}' for number in range(len(texts)))
        made = job_of(template(f"/usr/bin/python3 -c '{ARGUMENTS}' {values}"), **text_parameters(texts))
        assert await received(stack, made) == [f"--o={text}" for text in texts]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", ["var", "jinja"])
async def test_a_variable_of_the_environment_is_what_was_typed(stack: Stack, base: str, kind: str) -> None:
    for texts in portions(any_texts(500)):
        names = [f"t{number}" for number in range(len(texts))]
        pieces: dict[str, dict[str, Any]] = {
            "var": {f"T_{name}": {"type": "var", "variableNames": [name]} for name in names},
            "jinja": {f"T_{name}": {"type": "jinja", "template": f"{{{{ {name} }}}}"} for name in names},
        }
        made = job_of(
            *words("/usr/bin/python3", "-c", VARIABLES),
            base=base,
            environment=pieces[kind],
            **text_parameters(texts),
        )
        assert await received(stack, made) == {f"T_t{number}": text for number, text in enumerate(texts)}


async def test_a_text_of_a_hundred_thousand_characters_arrives_whole(stack: Stack) -> None:
    text = "x'" * 15_000 + "y" * 25_000
    made = job_of(
        *words("/usr/bin/python3", "-c", ARGUMENTS),
        {"type": "var", "variableNames": ["t0"]},
        **text_parameters([text]),
    )
    assert await received(stack, made) == [text]


async def test_a_text_that_no_job_can_be_given_is_refused_in_words(stack: Stack) -> None:
    made = job_of(
        *words("true"), {"type": "var", "variableNames": ["t0"]}, **text_parameters(["x" * 200_000])
    )
    answer = await stack.core.create(bulk(made))
    assert answer["status"] == 400
    assert answer["body"]["why"] == "the parameters of the job are too long; put long text into a file"
