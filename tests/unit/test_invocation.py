"""An application's invocation becomes the arguments that its program receives."""

from collections.abc import Sequence
from typing import Any

import pytest

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.invocation import Literal, arguments, command_line, exports
from slurm_provider.launch.values import Values, resolve
from slurm_provider.ucloud.values import ApplicationParameter, InvocationParameter, ParameterValue

Json = dict[str, Any]
DRIVES = [Drive(id="4012", path="/gpfs/home/bob")]


def word(text: str) -> Json:
    return {"type": "word", "word": text}


def var(*names: str, **affixes: Any) -> Json:
    return {"type": "var", "variableNames": list(names)} | affixes


def text_of(name: str, value: str) -> tuple[Json, Json]:
    return {"type": "text", "name": name}, {"type": "text", "value": value}


def integer_of(name: str, value: int) -> tuple[Json, Json]:
    return {"type": "integer", "name": name}, {"type": "integer", "value": value}


def boolean_of(name: str, value: bool) -> tuple[Json, Json]:
    return {"type": "boolean", "name": name}, {"type": "boolean", "value": value}


def pieces(invocation: Sequence[Json]) -> list[InvocationParameter]:
    return [InvocationParameter.model_validate(piece) for piece in invocation]


def values_of(*parameters: tuple[Json, Json | None]) -> Values:
    declared = [ApplicationParameter.model_validate(declaration) for declaration, _ in parameters]
    given = {d["name"]: ParameterValue.model_validate(v) for d, v in parameters if v is not None}
    return resolve(declared, given, DRIVES)


def argv(invocation: Sequence[Json], values: Values) -> list[str]:
    found = arguments(pieces(invocation), values)
    return [argument.text if isinstance(argument, Literal) else argument.quoted() for argument in found]


FAST = [{"name": "Fast mode", "value": "fast"}, {"name": "Slow mode", "value": "slow"}]
EXAMPLES = {
    "the seed's application": (
        [word("acme-batch"), var("debug", prefixGlobal="--debug "), var("value")],
        [boolean_of("debug", True), text_of("value", "Hello, World!")],
        ["acme-batch", "--debug", "true", "Hello, World!"],
        "'acme-batch' '--debug' 'true' 'Hello, World!'",
    ),
    "global affixes once around all values": (
        [
            word("run"),
            var("a", "b", prefixGlobal="--count", suffixGlobal="--end"),
            var("c", prefixGlobal="-c"),
        ],
        [
            integer_of("a", 42),
            integer_of("b", 1000000),
            ({"type": "integer", "name": "c", "optional": True}, None),
        ],
        ["run", "--count", "42", "1000000", "--end"],
        "'run' '--count' '42' '1000000' '--end'",
    ),
    "a prefix that is part of the argument": (
        [
            var(
                "x",
                prefixGlobal="--entries",
                prefixVariable="--entry",
                suffixVariable="--next",
                isPrefixVariablePartOfArg=True,
            )
        ],
        [integer_of("x", 42)],
        ["--entries", "--entry42", "--next"],
        "'--entries' '--entry42' '--next'",
    ),
    "a suffix that is part of the argument": (
        [
            var(
                "x",
                "y",
                prefixGlobal="--entries",
                suffixGlobal="--endOfEntries",
                prefixVariable="--entry",
                suffixVariable="--next",
                isPrefixVariablePartOfArg=False,
                isSuffixVariablePartOfArg=True,
            )
        ],
        [integer_of("x", 42), text_of("y", "hello")],
        ["--entries", "--entry", "42--next", "--entry", "hello--next", "--endOfEntries"],
        "'--entries' '--entry' '42--next' '--entry' 'hello--next' '--endOfEntries'",
    ),
    "a file, a flag and an enumeration": (
        [
            word("conv"),
            var("in", prefixVariable="--input=", isPrefixVariablePartOfArg=True),
            {"type": "bool_flag", "variableName": "v", "flag": "--verbose "},
            var("m", prefixGlobal="-m "),
        ],
        [
            ({"type": "input_file", "name": "in"}, {"type": "file", "path": "/4012/Bob's data/in.csv"}),
            boolean_of("v", True),
            ({"type": "enumeration", "name": "m", "options": FAST}, {"type": "text", "value": "Fast mode"}),
        ],
        ["conv", "--input=/gpfs/home/bob/Bob's data/in.csv", "--verbose", "-m", "fast"],
        "'conv' '--input=/gpfs/home/bob/Bob'\"'\"'s data/in.csv' '--verbose' '-m' 'fast'",
    ),
    "a default, wrapped": (
        [var("k")],
        [({"type": "integer", "name": "k", "defaultValue": {"type": "integer", "value": 7}}, None)],
        ["7"],
        "'7'",
    ),
    "a word as it stands": ([word("  a b ")], [], ["  a b "], "'  a b '"),
    "an empty word": ([word("run"), word("")], [], ["run", ""], "'run' ''"),
    "an empty value": ([var("t", prefixGlobal="-t")], [text_of("t", "")], ["-t", ""], "'-t' ''"),
    "an empty value alone": ([var("t")], [text_of("t", "")], [""], "''"),
    "a value with edge spaces": (
        [var("t", prefixGlobal=" -t ", suffixGlobal=" -e ")],
        [text_of("t", "  x ")],
        ["-t", "  x ", "-e"],
        "'-t' '  x ' '-e'",
    ),
    "an affix with inner spaces": (
        [var("t", prefixGlobal="a b")],
        [text_of("t", "x")],
        ["a b", "x"],
        "'a b' 'x'",
    ),
    "affixes of blanks": (
        [var("t", prefixGlobal=" ", suffixGlobal=" ", prefixVariable=" ", suffixVariable=" ")],
        [text_of("t", "x")],
        ["x"],
        "'x'",
    ),
    "names in the invocation's order": (
        [var("b", "a")],
        [text_of("a", "1"), text_of("b", "2")],
        ["2", "1"],
        "'2' '1'",
    ),
}


@pytest.mark.parametrize(
    ("invocation", "parameters", "expected", "line"), EXAMPLES.values(), ids=EXAMPLES.keys()
)
def test_an_invocation_becomes_these_arguments_and_this_line(
    invocation: list[Json], parameters: list[tuple[Json, Json | None]], expected: list[str], line: str
) -> None:
    values = values_of(*parameters)
    assert argv(invocation, values) == expected
    assert command_line(pieces(invocation), values) == line


def test_a_var_without_any_value_yields_nothing_at_all() -> None:
    affixes = {"prefixGlobal": "-p", "suffixGlobal": "-s", "prefixVariable": "-v", "suffixVariable": "-w"}
    unset = ({"type": "text", "name": "t", "optional": True}, None)
    assert argv([var("t", "unknown", **affixes)], values_of(unset)) == []


@pytest.mark.parametrize(
    ("value", "expected"), [(True, ["-v"]), (False, []), (None, [])], ids=["true", "false", "unset"]
)
def test_a_flag_stands_only_where_its_value_is_true(value: bool | None, expected: list[str]) -> None:
    declaration = {"type": "boolean", "name": "v", "optional": True, "trueValue": "no", "falseValue": "yes"}
    given = None if value is None else {"type": "boolean", "value": value}
    flag = {"type": "bool_flag", "variableName": "v", "flag": " -v "}
    assert argv([flag], values_of((declaration, given))) == expected


def test_the_keys_of_other_kinds_are_not_looked_at() -> None:
    all_keys = {"word": "w", "variableNames": ["t"], "variableName": "t", "flag": "f", "variable": "V"}
    all_keys |= {"prefixGlobal": "p", "template": "{{ t }}"}
    values = values_of(text_of("t", "x"))
    assert argv([all_keys | {"type": "word"}], values) == ["w"]
    assert argv([all_keys | {"type": "env"}], values) == ['"${V}"']


@pytest.mark.parametrize("piece", [{"type": "jinja", "template": "x"}, {"type": "sorcery"}])
def test_a_part_of_unknown_type_is_refused_by_its_name(piece: Json) -> None:
    with pytest.raises(LaunchError, match=piece["type"]):
        argv([piece], Values())


@pytest.mark.parametrize("piece", [word("a\0b"), var("t", prefixGlobal="a\0b")])
def test_a_nul_in_the_command_line_is_refused(piece: Json) -> None:
    with pytest.raises(LaunchError, match="NUL"):
        argv([piece], values_of(text_of("t", "x")))


def test_the_environment_is_exported_as_its_parameters_say() -> None:
    environment = {"MODE": word("a b"), "N": var("n")}
    declared = {name: InvocationParameter.model_validate(piece) for name, piece in environment.items()}
    assert exports(declared, values_of(integer_of("n", 3))) == ["export MODE='a b'", "export N='3'"]


def test_a_variable_of_the_environment_without_value_is_not_exported() -> None:
    assert exports({"N": InvocationParameter.model_validate(var("n"))}, Values()) == []


@pytest.mark.parametrize(
    "name", ["PATH", "IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "SLURM_CONF", "UCLOUD_JOB_ID"]
)
def test_what_the_job_itself_needs_cannot_be_set(name: str) -> None:
    with pytest.raises(LaunchError, match=f"may not set the environment variable '{name}'"):
        exports({name: InvocationParameter.model_validate(word("x"))}, Values())


def test_an_environment_variable_can_hold_another() -> None:
    environment = {"OUT": InvocationParameter(type="env", variable="HOME")}
    assert exports(environment, Values()) == ['export OUT="${HOME}"']


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A\n", "A;id", "$(id)", "Ä"])
def test_what_bash_would_not_take_for_a_variable_is_refused(name: str) -> None:
    with pytest.raises(LaunchError, match="environment variable"):
        exports({name: InvocationParameter.model_validate(word("x"))}, Values())
    with pytest.raises(LaunchError, match="environment variable"):
        argv([{"type": "env", "variable": name}], Values())
