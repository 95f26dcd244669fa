"""Parameters get their values: the user's, else the application's defaults."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.config import License
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.values import Values, resolve
from slurm_provider.ucloud.values import ApplicationParameter, ParameterValue

OPTIONS = [{"name": "Fast mode", "value": "fast"}, {"name": "slow", "value": "Fast mode"}]


def resolved(declaration: dict[str, Any], value: dict[str, Any] | None, **others: dict[str, Any]) -> Values:
    parameter = ApplicationParameter.model_validate({"name": "p"} | declaration)
    given = {} if value is None else {"p": ParameterValue.model_validate(value)}
    given |= {name: ParameterValue.model_validate(other) for name, other in others.items()}
    return resolve([parameter], given, [])


@pytest.mark.parametrize(
    ("declaration", "value", "text"),
    [
        ({"type": "boolean"}, {"type": "boolean", "value": True}, "true"),
        ({"type": "boolean"}, {"type": "boolean", "value": False}, "false"),
        ({"type": "boolean", "trueValue": "yes"}, {"type": "boolean", "value": True}, "yes"),
        ({"type": "boolean", "falseValue": "no"}, {"type": "boolean", "value": False}, "no"),
        ({"type": "boolean", "trueValue": "", "falseValue": ""}, {"type": "boolean", "value": True}, "true"),
        ({"type": "integer"}, {"type": "integer", "value": 1000000}, "1000000"),
        ({"type": "integer"}, {"type": "integer", "value": 1e6}, "1000000"),
        ({"type": "integer"}, {"type": "integer", "value": -7}, "-7"),
        ({"type": "integer"}, {"type": "integer", "value": 2**63}, "9223372036854775808"),
        ({"type": "floating_point"}, {"type": "floating_point", "value": 1}, "1.0"),
        ({"type": "floating_point"}, {"type": "integer", "value": 2}, "2.0"),
        ({"type": "floating_point"}, {"type": "floating_point", "value": 0.1}, "0.1"),
        ({"type": "floating_point"}, {"type": "floating_point", "value": 1e-7}, "0.0000001"),
        ({"type": "floating_point"}, {"type": "floating_point", "value": 1e16}, "10000000000000000.0"),
        ({"type": "text"}, {"type": "text", "value": "  a b "}, "  a b "),
        ({"type": "text"}, {"type": "text", "value": ""}, ""),
        ({"type": "textarea"}, {"type": "text", "value": "a\nb"}, "a\nb"),
        ({"type": "textarea"}, {"type": "textarea", "value": "a\nb"}, "a\nb"),
        ({"type": "enumeration", "options": OPTIONS}, {"type": "text", "value": "Fast mode"}, "fast"),
        ({"type": "enumeration", "options": OPTIONS}, {"type": "text", "value": "fast"}, "fast"),
        ({"type": "enumeration", "options": None}, {"type": "enumeration", "value": "x"}, "x"),
    ],
)
def test_a_value_becomes_this_text(declaration: dict[str, Any], value: dict[str, Any], text: str) -> None:
    assert resolved(declaration, value).texts == {"p": text}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_the_same_and_has_no_exponent(number: float) -> None:
    text = resolved({"type": "floating_point"}, {"type": "floating_point", "value": number}).texts["p"]
    assert float(text) == number
    assert "e" not in text.lower()
    assert "." in text


@pytest.mark.parametrize(
    ("declaration", "text"),
    [
        ({"type": "integer", "defaultValue": 5}, "5"),
        ({"type": "integer", "defaultValue": 0}, "0"),
        ({"type": "integer", "defaultValue": {"type": "integer", "value": 7}}, "7"),
        ({"type": "integer", "defaultValue": {"value": 7}}, "7"),
        ({"type": "floating_point", "defaultValue": 0.5}, "0.5"),
        ({"type": "boolean", "defaultValue": False, "falseValue": "off"}, "off"),
        ({"type": "boolean", "defaultValue": {"type": "boolean", "value": True}}, "true"),
        ({"type": "text", "defaultValue": "x"}, "x"),
        ({"type": "textarea", "defaultValue": {"type": "text", "value": "x"}}, "x"),
        ({"type": "enumeration", "options": OPTIONS, "defaultValue": "Fast mode"}, "fast"),
        (
            {
                "type": "enumeration",
                "options": OPTIONS,
                "defaultValue": {"type": "enumeration", "value": "fast"},
            },
            "fast",
        ),
    ],
)
@pytest.mark.parametrize("optional", [True, False])
def test_a_default_may_stand_bare_or_wrapped(declaration: dict[str, Any], text: str, optional: bool) -> None:
    assert resolved(declaration | {"optional": optional}, None).texts == {"p": text}


def test_the_users_value_comes_before_the_default() -> None:
    declaration = {"type": "boolean", "defaultValue": True}
    values = resolved(declaration, {"type": "boolean", "value": False})
    assert (values.texts, values.flags) == ({"p": "false"}, {"p": False})


def test_a_default_can_be_a_flag() -> None:
    assert resolved({"type": "boolean", "defaultValue": True}, None).flags == {"p": True}


@pytest.mark.parametrize("default", [None, {"type": "integer", "value": None}])
def test_an_optional_parameter_without_value_and_default_is_absent(default: object) -> None:
    declaration = {"type": "integer", "optional": True, "defaultValue": default}
    assert resolved(declaration, None) == Values(unset=["p"])


def test_a_mandatory_parameter_without_value_is_refused_by_its_name() -> None:
    with pytest.raises(LaunchError, match="'p' needs a value"):
        resolved({"type": "integer", "optional": False}, None)


@pytest.mark.parametrize(
    ("parameter_type", "value"),
    [
        ("boolean", {"type": "boolean", "value": "true"}),
        ("boolean", {"type": "boolean", "value": 1}),
        ("boolean", {"type": "text", "value": "true"}),
        ("integer", {"type": "integer", "value": "5"}),
        ("integer", {"type": "integer", "value": 5.5}),
        ("integer", {"type": "integer", "value": True}),
        ("integer", {"type": "integer", "value": math.inf}),
        ("integer", {"type": "integer", "value": math.nan}),
        ("integer", {"type": "floating_point", "value": 5.0}),
        ("floating_point", {"type": "floating_point", "value": "0.5"}),
        ("floating_point", {"type": "floating_point", "value": True}),
        ("floating_point", {"type": "floating_point", "value": math.inf}),
        ("floating_point", {"type": "floating_point", "value": math.nan}),
        ("floating_point", {"type": "integer", "value": 10**400}),
        ("text", {"type": "text", "value": 5}),
        ("text", {"type": "text", "value": None}),
        ("text", {"type": "text", "value": ["a"]}),
        ("text", {"type": "integer", "value": 5}),
        ("enumeration", {"type": "text", "value": 5}),
        ("input_file", {"type": "text", "value": "/1/a"}),
        ("input_directory", {"type": "text", "value": "/1/a"}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_the_parameters_name(
    parameter_type: str, value: dict[str, Any]
) -> None:
    with pytest.raises(LaunchError, match=f"'p' takes {parameter_type}, not "):
        resolved({"type": parameter_type}, value)


def test_a_value_for_a_parameter_of_unknown_type_is_refused_by_both_names() -> None:
    with pytest.raises(LaunchError, match="'p' is of unknown type 'sorcery'"):
        resolved({"type": "sorcery"}, {"type": "sorcery", "id": "1"})


@pytest.mark.parametrize(
    ("parameter_type", "value", "wanted"),
    [
        ("network_ip", {"type": "network", "id": "1"}, "a public IP address"),
        ("private_network", {"type": "private_network", "id": "1"}, "a private network"),
    ],
)
def test_what_no_job_can_have_is_refused_by_the_parameters_name_and_in_words(
    parameter_type: str, value: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(LaunchError, match=f"'p' asks for {wanted}, which this provider does not have"):
        resolved({"type": parameter_type}, value)


@pytest.mark.parametrize("parameter_type", ["license_server", "network_ip", "ingress", "peer", "sorcery"])
def test_an_optional_parameter_of_any_type_may_be_left_out(parameter_type: str) -> None:
    assert resolved({"type": parameter_type, "optional": True}, None) == Values(unset=["p"])


def test_a_readme_needs_no_value_and_has_none() -> None:
    assert resolved({"type": "readme"}, None) == Values()


def test_a_public_link_is_its_id() -> None:
    link = {"type": "ingress", "id": "41231", "port": 80}
    assert resolved({"type": "ingress"}, link).texts == {"p": "41231"}


def test_a_peer_is_the_hostname_that_the_user_gave_it() -> None:
    assert resolved({"type": "peer"}, {"type": "peer", "hostname": "db", "jobId": "7"}).texts == {"p": "db"}


@pytest.mark.parametrize(
    ("configured", "text"),
    [
        ({"address": "lic.example", "port": 27000, "key": "abc"}, "lic.example:27000/abc"),
        ({"address": "lic.example", "port": 27000}, "lic.example:27000"),
        ({"address": "lic.example", "key": "abc"}, "lic.example/abc"),
    ],
)
def test_a_licence_is_its_servers_address_and_key(configured: dict[str, Any], text: str) -> None:
    parameter = ApplicationParameter(type="license_server", name="p")
    given = {"p": ParameterValue(type="license_server", id="acme")}
    licenses = {"acme": License.model_validate(configured)}
    assert resolve([parameter], given, [], licenses=licenses).texts == {"p": text}


def test_an_unknown_licence_is_refused_by_its_id() -> None:
    with pytest.raises(LaunchError, match="the licence 'acme' is not available on this provider"):
        resolved({"type": "license_server"}, {"type": "license_server", "id": "acme"})


@pytest.mark.parametrize(
    ("declaration", "value", "words"),
    [
        ({"type": "integer", "min": 1, "max": 9}, 0, "at least 1, not 0"),
        ({"type": "integer", "min": 1, "max": 9}, 10, "at most 9, not 10"),
        ({"type": "floating_point", "max": 0.5}, 0.6, "at most 0.5, not 0.6"),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_the_limit(
    declaration: dict[str, Any], value: float, words: str
) -> None:
    with pytest.raises(LaunchError, match=f"'p' must be {words}"):
        resolved(declaration, {"type": declaration["type"], "value": value})


@pytest.mark.parametrize("value", [1, 9])
def test_a_number_at_the_end_of_its_range_is_taken(value: int) -> None:
    declaration = {"type": "integer", "min": 1, "max": 9}
    assert resolved(declaration, {"type": "integer", "value": value}).typed == {"p": value}


def test_chosen_modules_are_loaded_and_are_a_list_to_templates() -> None:
    values = resolved({"type": "modules"}, {"type": "modules", "modules": ["gcc/12", "openmpi"]})
    assert (values.modules, values.typed) == (["gcc/12", "openmpi"], {"p": ["gcc/12", "openmpi"]})


def test_modules_that_the_portal_asked_for_are_loaded_for_any_application() -> None:
    injected = {"_injected_modules": {"type": "modules", "modules": ["gcc"]}}
    assert resolved({"type": "text"}, {"type": "text", "value": "x"}, **injected).modules == ["gcc"]


def test_a_module_that_the_parameter_does_not_offer_is_refused_by_its_name() -> None:
    declaration = {"type": "modules", "supportedModules": [{"name": "gcc"}]}
    with pytest.raises(LaunchError, match="does not offer the module 'icc'"):
        resolved(declaration, {"type": "modules", "modules": ["icc"]})


@pytest.mark.parametrize("name", ["", "-f", "a b", "a;b", "$(id)", "a\nb"])
def test_what_cannot_be_a_modules_name_is_refused(name: str) -> None:
    with pytest.raises(LaunchError, match="cannot be the name of a module"):
        resolved({"type": "modules"}, {"type": "modules", "modules": [name]})


def test_a_workflow_brings_its_script_and_parameters_of_its_own() -> None:
    workflow = {
        "type": "workflow",
        "specification": {"job": "echo {{ n }}", "inputs": [{"type": "integer", "name": "n"}]},
    }
    values = resolved({"type": "workflow"}, workflow, n={"type": "integer", "value": 3})
    assert (values.workflows, values.typed) == (["echo {{ n }}"], {"p": "", "n": 3})


def test_a_workflows_mandatory_parameter_needs_a_value() -> None:
    workflow = {"type": "workflow", "specification": {"job": "x", "inputs": [{"type": "text", "name": "t"}]}}
    with pytest.raises(LaunchError, match="'t' needs a value"):
        resolved({"type": "workflow"}, workflow)


@pytest.mark.parametrize("name", ["ucMetricSampleRate", "_injected_x", "undeclared"])
def test_a_value_that_the_application_does_not_declare_is_left_alone(name: str) -> None:
    hidden = {name: {"type": "sorcery", "value": "\0"}}
    assert resolved({"type": "text"}, {"type": "text", "value": "x"}, **hidden).texts == {"p": "x"}


@pytest.mark.parametrize("parameter_type", ["text", "textarea", "enumeration"])
def test_a_nul_is_refused_by_the_parameters_name(parameter_type: str) -> None:
    with pytest.raises(LaunchError, match="'p' holds a NUL"):
        resolved({"type": parameter_type}, {"type": "text", "value": "a\0b"})
