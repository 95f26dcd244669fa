"""Parameters that the provider adds to every application's job form (today's `requestDynamicParameters`).

Their names begin with `_injected_`: Core lets values for them through that the application does not declare.
"""

from typing import Literal

from pydantic import BaseModel

from slurm_provider.ucloud.bulk import Received
from slurm_provider.ucloud.jobs import Application, ResourceOwner

ACCOUNT = "_injected_slurmAccount"
PARTITION = "_injected_slurmPartition"
QOS = "_injected_slurmQos"
MODULES = "_injected_modules"


class DynamicParametersRequest(Received):
    """Who looks at which application's job form."""

    owner: ResourceOwner | None = None
    application: Application | None = None


class Option(BaseModel):
    """One choice of an enumeration. Either name or value comes back, so they are the same."""

    name: str
    value: str


class EnumerationParameter(BaseModel):
    """A choice of one."""

    type: Literal["enumeration"] = "enumeration"
    name: str
    optional: bool = True
    defaultValue: None = None
    title: str
    description: str
    options: list[Option]


class Module(BaseModel):
    """A module of the cluster; `dependsOn` lists alternatives, each the modules to load before it."""

    name: str
    description: str = ""
    shortDescription: str = ""
    dependsOn: list[list[str]] = []
    documentationUrl: str = ""


class ModulesParameter(BaseModel):
    """A choice of any number of modules."""

    type: Literal["modules"] = "modules"
    name: str = MODULES
    optional: bool = True
    defaultValue: None = None
    title: str
    description: str
    supportedModules: list[Module]


class DynamicParameters(BaseModel):
    """What the provider adds to the form."""

    parameters: list[EnumerationParameter | ModulesParameter]
