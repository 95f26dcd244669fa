"""The invocation of an application becomes words of a bash command line (UCloud's InvocationParameter)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.quoting import quoted
from slurm_provider.launch.values import Values
from slurm_provider.ucloud.values import InvocationParameter

# What the job is started with, and what would change what bash or the loader do.
_RESERVED = ("BASHOPTS", "ENV", "IFS", "PATH", "PS4", "SHELLOPTS")
_RESERVED_PREFIXES = ("BASH_", "LD_", "SLURM_", "SRUN_", "UCLOUD_")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Literal:
    """An argument that the program gets as it stands."""

    text: str

    def quoted(self) -> str:
        """Return the argument in single quotes, so that bash changes nothing in it."""
        return quoted(self.text)


@dataclass(frozen=True)
class Environment:
    """An argument that is the value of an environment variable when the job runs."""

    variable: str

    def quoted(self) -> str:
        """Return the variable in double quotes: expanded, never split."""
        return f'"${{{self.variable}}}"'


Argument = Literal | Environment


def arguments(invocation: Sequence[InvocationParameter], values: Values) -> list[Argument]:
    """Return the argument list of an application, program name first."""
    return [argument for parameter in invocation for argument in _expand(parameter, values)]


def command_line(invocation: Sequence[InvocationParameter], values: Values) -> str:
    """Return the argument list as one line of bash."""
    return " ".join(argument.quoted() for argument in arguments(invocation, values))


def exports(environment: Mapping[str, InvocationParameter], values: Values) -> list[str]:
    """Return an `export NAME=value` line for each variable whose parameter yields something."""
    lines = []
    for name, parameter in environment.items():
        if words := _expand(parameter, values):
            # Adjacent quoted words are one word in bash, so the blanks between arguments are quoted too.
            value = Literal(" ").quoted().join(word.quoted() for word in words)
            lines.append(f"export {_settable(name)}={value}")
    return lines


def text(parameter: InvocationParameter, values: Values) -> str | None:
    """Return what a parameter yields as one text, None for nothing.

    Raises LaunchError for what only the job can tell.
    """
    words = _expand(parameter, values)
    if any(isinstance(word, Environment) for word in words):
        raise LaunchError("an environment variable of the job cannot be used in an option of sbatch")
    return " ".join(word.text for word in words if isinstance(word, Literal)) if words else None


def variable_name(name: str) -> str:
    """Return the name of an environment variable unchanged; raise LaunchError when bash would not take it."""
    if not _VARIABLE.fullmatch(name):
        raise LaunchError(f"'{name}' cannot be the name of an environment variable")
    return name


def _settable(name: str) -> str:
    """Return the name of a variable that an application may set; raise LaunchError for the job's own."""
    if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
        raise LaunchError(f"the application may not set the environment variable '{name}'")
    return variable_name(name)


def _expand(parameter: InvocationParameter, values: Values) -> list[Argument]:
    match parameter.type:
        case "word":
            return [Literal(_without_nul(parameter.word or ""))]
        case "var":
            return [Literal(_without_nul(word)) for word in _variables(parameter, values)]
        case "bool_flag":
            flag = (parameter.flag or "").strip()
            given = values.flags.get(parameter.variableName or "")
            return [Literal(_without_nul(flag))] if given else []
        case "env":
            return [Environment(variable_name(parameter.variable or ""))]
        case "jinja" if parameter.template in values.rendered:
            return [Literal(_without_nul(values.rendered[parameter.template]))]
        case other:
            raise LaunchError(f"the application's command line has a part of unknown type '{other}'")


def _variables(parameter: InvocationParameter, values: Values) -> list[str]:
    """Return what a `var` yields: nothing, not even its global affixes, when no variable has a value."""
    present = [values.texts[name] for name in parameter.variableNames or [] if name in values.texts]
    if not present:
        return []
    prefix, suffix = (parameter.prefixVariable or "").strip(), (parameter.suffixVariable or "").strip()
    words = [(parameter.prefixGlobal or "").strip()]
    for value in present:
        before = [] if parameter.isPrefixVariablePartOfArg else [prefix]
        after = [] if parameter.isSuffixVariablePartOfArg else [suffix]
        glued_prefix = prefix if parameter.isPrefixVariablePartOfArg else ""
        glued_suffix = suffix if parameter.isSuffixVariablePartOfArg else ""
        words += [word for word in before if word]
        words.append(f"{glued_prefix}{value}{glued_suffix}")
        words += [word for word in after if word]
    words.append((parameter.suffixGlobal or "").strip())
    # Only affixes vanish when they are empty; an empty value is an argument.
    return [word for i, word in enumerate(words) if word or 0 < i < len(words) - 1]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise LaunchError("the command line holds a NUL character")
    return text
