"""Parameters get their values: the user's, else the application's defaults, each as an argument's text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
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
}


@dataclass
class Values:
    """The text of each parameter that has a value, and the paths that must stay within their drives."""

    texts: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    confined_paths: list[ConfinedPath] = field(default_factory=list)


def resolve(
    parameters: Sequence[ApplicationParameter],
    given: Mapping[str, ParameterValue],
    drives: Sequence[Drive],
) -> Values:
    """Return the values of the parameters that an application declares.

    Values for parameters that it does not declare are left alone: Core adds hidden ones. Raises
    LaunchError for a value of the wrong type, an unknown type, and a mandatory parameter without value.
    """
    values = Values()
    for parameter in parameters:
        value = given.get(parameter.name) or _default(parameter)
        if value is None:
            if not parameter.optional:
                raise LaunchError(f"the parameter '{parameter.name}' needs a value")
            continue
        accepted = VALUE_TYPES.get(parameter.type)
        if accepted is None:
            raise LaunchError(f"the parameter '{parameter.name}' is of unknown type '{parameter.type}'")
        if value.type not in accepted:
            raise LaunchError(f"the parameter '{parameter.name}' takes {parameter.type}, not {value.type}")
        _add(values, parameter, value, drives)
    return values


def _default(parameter: ApplicationParameter) -> ParameterValue | None:
    """Return the default, which may stand bare (`5`) or wrapped (`{"type": "integer", "value": 5}`)."""
    default = parameter.defaultValue
    if default is None or parameter.type not in VALUE_TYPES:
        return None
    if isinstance(default, dict):
        wrapped = ParameterValue.model_validate({"type": VALUE_TYPES[parameter.type][0], **default})
        return None if wrapped.value is None else wrapped
    return ParameterValue(type=VALUE_TYPES[parameter.type][0], value=default)


def _add(
    values: Values, parameter: ApplicationParameter, value: ParameterValue, drives: Sequence[Drive]
) -> None:
    if value.type == "file":
        confined = local_path(value.path or "", drives)
        values.confined_paths.append(confined)
        values.texts[parameter.name] = confined.path
        return
    if value.type == "peer":
        values.texts[parameter.name] = value.hostname or ""
        return
    try:
        text = _TEXT[parameter.type](parameter, value.value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise LaunchError(
            f"the parameter '{parameter.name}' takes {parameter.type}, not {value.value!r}"
        ) from error
    if "\0" in text:
        raise LaunchError(f"the parameter '{parameter.name}' holds a NUL character")
    if parameter.type == "boolean":
        values.flags[parameter.name] = value.value
    values.texts[parameter.name] = text


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
