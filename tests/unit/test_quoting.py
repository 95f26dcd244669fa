"""Bash gives a program exactly the arguments that it is meant to get: shown by running bash."""

import os
import subprocess
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slurm_provider.launch.invocation import command_line, exports
from slurm_provider.launch.quoting import quoted
from slurm_provider.launch.values import Values
from slurm_provider.ucloud.values import InvocationParameter

ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
NASTY = [
    "$HOME",
    "`id`",
    "$(id)",
    "a'b",
    '"',
    "\\",
    "*",
    "~",
    "!!",
    "a\nb",
    "",
    " ",
    "-n",
    "#",
    "\u2028",
    "é",
    "\x01\x7f\x01",
    "\r\n",
    *(chr(code) for code in range(1, 32)),
]


def printed(*last: InvocationParameter) -> list[InvocationParameter]:
    """The invocation of a program that prints its arguments, a NUL after each."""
    return [InvocationParameter(type="word", word=word) for word in ("printf", "%s\\0")] + list(last)


def var(names: Sequence[str]) -> InvocationParameter:
    return InvocationParameter(type="var", variableNames=list(names))


def received(
    line: str, environment: Mapping[str, str] | None = None, *, before: Sequence[str] = ()
) -> list[str]:
    """The arguments after the second that `printf '%s\\0' …` receives when bash runs the line."""
    script = "\n".join([*before, f"exec {line}", ""])
    run = subprocess.run(
        ["bash", "-s"],
        input=script.encode(),
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})},
    )
    return run.stdout.decode().split("\0")[:-1]


@settings(max_examples=30, deadline=None)
@given(st.lists(ANY_TEXT | st.sampled_from(NASTY), min_size=1, max_size=80))
def test_the_program_receives_every_text_byte_for_byte(texts: list[str]) -> None:
    values = Values(texts={f"v{i}": text for i, text in enumerate(texts)})
    line = command_line(printed(var(list(values.texts))), values)
    assert received(line) == texts


@pytest.mark.parametrize("text", NASTY)
def test_the_program_receives_each_nasty_text_byte_for_byte(text: str) -> None:
    values = Values(texts={"t": text})
    assert received(f"{command_line(printed(var(['t'])), values)}") == [text]


def test_no_line_of_a_script_ends_in_a_carriage_return() -> None:
    assert "\r" not in quoted("a\r\nb\r")
    assert quoted("a\r\nb") == "'a'$'\\015''\nb'"


@pytest.mark.parametrize("content", ["two words", "*", "a\nb", "", "$HOME `id`", "'\"\\"])
def test_an_environment_variable_is_expanded_but_never_split(content: str) -> None:
    line = command_line(printed(InvocationParameter(type="env", variable="GIVEN")), Values())
    assert received(line, {"GIVEN": content}) == [content]


@settings(max_examples=15, deadline=None)
@given(st.lists(ANY_TEXT, min_size=2, max_size=4))
def test_the_words_of_an_environment_variable_are_joined_by_one_space(texts: list[str]) -> None:
    values = Values(texts={f"v{i}": text for i, text in enumerate(texts)})
    lines = exports({"ALL": var(list(values.texts))}, values)
    assert received("printf '%s\\0' \"$ALL\"", before=lines) == [" ".join(texts)]
