"""Parameters of an application and the values that a user gives them (AppParameterValue)."""

from typing import Any

from pydantic import ConfigDict

from slurm_provider.ucloud.bulk import OptionalText, Received, Text


class WorkflowSpecification(Received):
    """A piece of script that the user chose, as a Jinja template, with parameters of its own."""

    job: OptionalText = None
    inputs: "list[ApplicationParameter] | None" = None


class ParameterValue(Received):
    """A value of any type: which fields count depends on `type`.

    `value` is a bool, int, float or str; numbers keep the form in which they came.
    """

    model_config = ConfigDict(extra="ignore", strict=False)

    type: str
    value: Any = None
    path: OptionalText = None
    readOnly: bool | None = None
    mountPath: OptionalText = None
    id: OptionalText = None
    hostname: OptionalText = None
    jobId: OptionalText = None
    port: int | None = None
    modules: list[Text] | None = None
    specification: WorkflowSpecification | None = None


class EnumerationOption(Received):
    """One choice of an enumeration: the user sees `name`, the program gets `value`."""

    name: str = ""
    value: str = ""


class SupportedModule(Received):
    """A module that a user may choose."""

    name: Text = ""


class ApplicationParameter(Received):
    """A parameter that an application declares."""

    type: str
    name: str
    optional: bool | None = None
    defaultValue: Any = None
    trueValue: OptionalText = None
    falseValue: OptionalText = None
    options: list[EnumerationOption] | None = None
    min: int | float | None = None
    max: int | float | None = None
    supportedModules: list[SupportedModule] | None = None


class InvocationParameter(Received):
    """A piece of the command line: `word`, `var`, `bool_flag`, `env` or `jinja`.

    Today's Core sends the keys of all kinds in every element; only those of its own type count.
    """

    type: str
    word: str | None = None
    variableNames: list[str] | None = None
    prefixGlobal: str | None = None
    suffixGlobal: str | None = None
    prefixVariable: str | None = None
    suffixVariable: str | None = None
    isPrefixVariablePartOfArg: bool | None = None
    isSuffixVariablePartOfArg: bool | None = None
    variableName: str | None = None
    flag: str | None = None
    variable: str | None = None
    template: str | None = None


WorkflowSpecification.model_rebuild()
ParameterValue.model_rebuild()
