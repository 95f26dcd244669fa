"""Parameters get their values: the user's, else the application's defaults, each as an argument's text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from slurm_provider.config import Drive, License
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.modules import checked_modules
from slurm_provider.launch.paths import local_path
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.ucloud.values import ApplicationParameter, ParameterValue

# Parameter type (ApplicationParameter) to the type of value that it takes (AppParameterValue).
VALUE_TYPES: Mapping[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "text": ("text",),
    "textarea": ("text", "textarea"),
    "integer": ("integer",),
    "floating_point": ("floating_point", "integer"),
    "enumeration": ("text", "enumeration"),
    "input_file": ("file",),
    "input_directory": ("file",),
    "peer": ("peer",),
    "license_server": ("license_server",),
    "ingress": ("ingress",),
    "workflow": ("workflow",),
    "modules": ("modules",),
}
WITH_DEFAULT = ("boolean", "text", "textarea", "integer", "floating_point", "enumeration")
REFUSED: Mapping[str, str] = {
    "network": "a public IP address",
    "network_ip": "a public IP address",
    "private_network": "a private network",
    "block_storage": "block storage",
    "api_server": "access to UCloud's API",
}
"""Parameters and resources that no job can have here, in the user's words."""

INJECTED_MODULES = "_injected_modules"
"""The parameter by which a user chooses modules for any application."""

Place = Callable[[ParameterValue, ConfinedPath], str]
"""Says under which path the job sees a file; where it really lies is the confined path."""


@dataclass
class Values:
    """The text of each parameter that has a value, and what the values ask for beside it.

    `typed` has what a template sees (bool, int, float, str or a list of str), `workflows` are
    templates to run after the application's own. `rendered` has what each template of the environment
    became.
    """

    texts: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    typed: dict[str, object] = field(default_factory=dict)
    unset: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    rendered: dict[str, str] = field(default_factory=dict)
    confined_paths: list[ConfinedPath] = field(default_factory=list)


def real_path(_: ParameterValue, confined: ConfinedPath) -> str:
    """Place a file where it really lies."""
    return confined.path


def resolve(
    parameters: Sequence[ApplicationParameter],
    given: Mapping[str, ParameterValue],
    drives: Sequence[Drive],
    *,
    licenses: Mapping[str, License] | None = None,
    place: Place = real_path,
) -> Values:
    """Return the values of the parameters that an application declares, and of its workflows' inputs.

    Values for parameters that it does not declare are left alone: Core adds hidden ones. Raises
    LaunchError for a value of the wrong type, a type that this provider cannot serve, and a mandatory
    parameter without value.
    """
    values = Values()
    open_parameters = list(parameters)
    while open_parameters:
        parameter = open_parameters.pop(0)
        value = given.get(parameter.name) or _default(parameter)
        if parameter.type == "readme" or parameter.name in values.typed:
            continue
        if value is None:
            if not parameter.optional:
                raise LaunchError(f"the parameter '{parameter.name}' needs a value")
            values.unset.append(parameter.name)
            continue
        _check_type(parameter, value)
        match value.type:
            case "file":
                _add_file(values, parameter, value, drives, place)
            case "license_server":
                _add_text(values, parameter, license_text(value, licenses or {}))
            case "peer":
                _add_text(values, parameter, value.hostname or "")
            case "ingress":
                _add_text(values, parameter, value.id or "")
            case "modules":
                _add_modules(values, parameter, value)
            case "workflow":
                open_parameters += _add_workflow(values, parameter, value)
            case _:
                _add_plain(values, parameter, value)
    if injected := given.get(INJECTED_MODULES):
        values.modules += checked_modules(injected.modules or [])
    return values


def license_text(value: ParameterValue, licenses: Mapping[str, License]) -> str:
    """Return the address and key of a licence; raise LaunchError for one that the site has not configured."""
    found = licenses.get(value.id or "")
    if found is None:
        raise LaunchError(f"the licence '{value.id}' is not available on this provider")
    return found.text


def _check_type(parameter: ApplicationParameter, value: ParameterValue) -> None:
    if wanted := REFUSED.get(parameter.type):
        why = f"asks for {wanted}, which this provider does not have"
        raise LaunchError(f"the parameter '{parameter.name}' {why}")
    accepted = VALUE_TYPES.get(parameter.type)
    if accepted is None:
        raise LaunchError(f"the parameter '{parameter.name}' is of unknown type '{parameter.type}'")
    if value.type not in accepted:
        raise LaunchError(f"the parameter '{parameter.name}' takes {parameter.type}, not {value.type}")


def _default(parameter: ApplicationParameter) -> ParameterValue | None:
    """Return the default, which may stand bare (`5`) or wrapped (`{"type": "integer", "value": 5}`)."""
    default = parameter.defaultValue
    if default is None or parameter.type not in WITH_DEFAULT:
        return None
    if isinstance(default, dict):
        wrapped = ParameterValue.model_validate({"type": VALUE_TYPES[parameter.type][0], **default})
        return None if wrapped.value is None else wrapped
    return ParameterValue(type=VALUE_TYPES[parameter.type][0], value=default)


def _add_file(
    values: Values,
    parameter: ApplicationParameter,
    value: ParameterValue,
    drives: Sequence[Drive],
    place: Place,
) -> None:
    confined = local_path(value.path or "", drives)
    values.confined_paths.append(confined)
    _add_text(values, parameter, place(value, confined))


def _add_modules(values: Values, parameter: ApplicationParameter, value: ParameterValue) -> None:
    chosen = checked_modules(value.modules or [])
    supported = {module.name for module in parameter.supportedModules or []}
    if supported and (unknown := [name for name in chosen if name not in supported]):
        raise LaunchError(f"the parameter '{parameter.name}' does not offer the module '{unknown[0]}'")
    values.modules += chosen
    values.typed[parameter.name] = chosen
    values.texts[parameter.name] = " ".join(chosen)


def _add_workflow(
    values: Values, parameter: ApplicationParameter, value: ParameterValue
) -> list[ApplicationParameter]:
    """Keep a workflow's template and return the parameters that it has beside the application's."""
    if value.specification is None or not value.specification.job:
        raise LaunchError(f"the workflow of the parameter '{parameter.name}' has no script")
    values.typed[parameter.name] = values.texts[parameter.name] = ""
    values.workflows.append(value.specification.job)
    return value.specification.inputs or []


def _add_text(values: Values, parameter: ApplicationParameter, text: str) -> None:
    values.typed[parameter.name] = values.texts[parameter.name] = text


def _add_plain(values: Values, parameter: ApplicationParameter, value: ParameterValue) -> None:
    """Add a value that is text or becomes text by itself."""
    try:
        text = _TEXT[parameter.type](parameter, value.value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise LaunchError(
            f"the parameter '{parameter.name}' takes {parameter.type}, not {value.value!r}"
        ) from error
    if "\0" in text:
        raise LaunchError(f"the parameter '{parameter.name}' holds a NUL character")
    typed: object = text
    match parameter.type:
        case "boolean":
            typed = values.flags[parameter.name] = value.value
        case "integer":
            typed = int(text)
        case "floating_point":
            typed = float(text)
    if isinstance(typed, int | float) and not isinstance(typed, bool):
        _check_range(parameter, typed)
    values.texts[parameter.name], values.typed[parameter.name] = text, typed


def _check_range(parameter: ApplicationParameter, number: float) -> None:
    if parameter.min is not None and number < parameter.min:
        raise LaunchError(f"the parameter '{parameter.name}' must be at least {parameter.min}, not {number}")
    if parameter.max is not None and number > parameter.max:
        raise LaunchError(f"the parameter '{parameter.name}' must be at most {parameter.max}, not {number}")


def _boolean(parameter: ApplicationParameter, value: object) -> str:
    if not isinstance(value, bool):
        raise TypeError(value)
    return (parameter.trueValue or "true") if value else (parameter.falseValue or "false")


def _integer(_: ApplicationParameter, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError(value)
    return str(int(value))


def _floating_point(_: ApplicationParameter, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    # The shortest decimal that reads back the same, without an exponent: not every program takes one.
    decimal = Decimal(repr(float(value)))
    if not decimal.is_finite():
        raise ValueError(value)
    text = format(decimal, "f")
    return text if "." in text else f"{text}.0"


def _text(_: ApplicationParameter, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _enumeration(parameter: ApplicationParameter, value: object) -> str:
    text = _text(parameter, value)
    return next((option.value for option in parameter.options or [] if option.name == text), text)


_TEXT: Mapping[str, Callable[[ApplicationParameter, object], str]] = {
    "boolean": _boolean,
    "integer": _integer,
    "floating_point": _floating_point,
    "text": _text,
    "textarea": _text,
    "enumeration": _enumeration,
}
