"""Job and what hangs on it: as Core sends it, in the form of either era."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, RootModel

from slurm_provider.ucloud.bulk import OptionalText, Received, Text
from slurm_provider.ucloud.values import ApplicationParameter, InvocationParameter, ParameterValue

EpochMilliseconds = Annotated[int, Field(ge=0, lt=253_402_300_800_000)]
"""A time from 1970 to the end of the year 9999."""


class JobState(StrEnum):
    """UCloud's states of a job (its JobState). Today's Core has no CANCELING."""

    IN_QUEUE = "IN_QUEUE"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUSPENDED = "SUSPENDED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    EXPIRED = "EXPIRED"

    @property
    def is_final(self) -> bool:
        """Whether no other state can follow."""
        return self in (JobState.SUCCESS, JobState.FAILURE, JobState.EXPIRED)


class SimpleDuration(Received):
    """Hours, minutes and seconds; hours may exceed 23, and all three count."""

    hours: int = 0
    minutes: int = 0
    seconds: int = 0

    def total_seconds(self) -> int:
        """Return the whole duration in seconds."""
        return (self.hours * 60 + self.minutes) * 60 + self.seconds


class NameAndVersion(Received):
    """An application or tool."""

    name: Text = ""
    version: Text = ""


class ProductReference(Received):
    """Which product: unique by all three."""

    id: Text = ""
    category: Text = ""
    provider: Text = ""


class ResourceOwner(Received):
    """The UCloud user who made a resource, and the project it belongs to."""

    createdBy: Text = ""
    project: OptionalText = None


class JobSpecification(Received):
    """What the user asked for."""

    application: NameAndVersion | None = None
    product: ProductReference | None = None
    name: OptionalText = None
    replicas: int | None = None
    parameters: dict[str, ParameterValue] | None = None
    resources: list[ParameterValue] | None = None
    timeAllocation: SimpleDuration | None = None
    openedFile: OptionalText = None
    restartOnExit: bool | None = None
    sshEnabled: bool | None = None


class LoadInstructions(Received):
    """Which software of the site a native tool needs."""

    applications: list[NameAndVersion] | None = None


class ToolDescription(Received):
    """How an application is run: backend and image, and defaults."""

    backend: OptionalText = None
    image: OptionalText = None
    container: OptionalText = None
    defaultTimeAllocation: SimpleDuration | None = None
    requiredModules: list[str] | None = None
    loadInstructions: LoadInstructions | None = None


class ToolWithDescription(Received):
    """Core wraps a tool twice; this is the inner one."""

    description: ToolDescription | None = None


class ToolReference(Received):
    """Core wraps a tool twice; this is the outer one."""

    name: Text = ""
    version: Text = ""
    tool: ToolWithDescription | None = None


class ContainerDescription(Received):
    """How an application wants its container."""

    changeWorkingDirectory: bool | None = None
    runAsRoot: bool | None = None
    runAsRealUser: bool | None = None


class SshDescription(Received):
    """Whether an application is used over SSH: DISABLED, OPTIONAL or MANDATORY."""

    mode: OptionalText = None


class PortDescription(Received):
    """Where a web or VNC application listens; nothing or 0 leaves it to the provider."""

    port: int | None = None
    password: OptionalText = None
    """Of a desktop."""


class ApplicationInvocation(Received):
    """The command line of an application and the parameters in it."""

    tool: ToolReference | None = None
    invocation: list[InvocationParameter] | None = None
    parameters: list[ApplicationParameter] | None = None
    environment: dict[str, InvocationParameter] | None = None
    applicationType: OptionalText = None
    container: ContainerDescription | None = None
    ssh: SshDescription | None = None
    web: PortDescription | None = None
    vnc: PortDescription | None = None
    sbatch: dict[str, InvocationParameter] | None = None
    allowMultiNode: bool | None = None
    allowPublicLink: bool | None = None


class Application(Received):
    """An application, resolved by Core."""

    metadata: NameAndVersion | None = None
    invocation: ApplicationInvocation | None = None

    @property
    def tool(self) -> ToolDescription:
        """The description of the application's tool; an empty one when Core left it out."""
        reference = self.invocation.tool if self.invocation else None
        wrapped = reference.tool if reference else None
        return (wrapped.description if wrapped else None) or ToolDescription()


class ResolvedCategory(Received):
    """How today's Core has a product category paid for."""

    accountingFrequency: OptionalText = None
    freeToUse: bool | None = None


class ResolvedProduct(Received):
    """The parts of a product that a provider needs, in either era's form."""

    name: Text = ""
    category: ResolvedCategory | None = None
    unitOfPrice: OptionalText = None
    price: int | None = None
    cpuModel: OptionalText = None
    memoryModel: OptionalText = None
    gpuModel: OptionalText = None


class JobStatus(Received):
    """Core's view of a job and what it resolved for it."""

    state: OptionalText = None
    startedAt: int | None = None
    resolvedApplication: Application | None = None
    resolvedProduct: ResolvedProduct | None = None


class Job(Received):
    """A job. Its times are epoch milliseconds, as everywhere at UCloud's edge."""

    id: Text
    providerGeneratedId: OptionalText = None
    createdAt: EpochMilliseconds | None = None
    owner: ResourceOwner | None = None
    specification: JobSpecification | None = None
    status: JobStatus | None = None


class JobPage(Received):
    """A page of jobs (UCloud's PageV2)."""

    items: list[Job] | None = None


class UnreadJob(RootModel[Any]):
    """An item that is no Job, kept as it came so that the others of its bulk can be read."""

    @property
    def id(self) -> str | None:
        """The item's id, if it has one that Core can have given."""
        found = self.root.get("id") if isinstance(self.root, dict) else None
        return found if isinstance(found, str) and found and found.isprintable() else None


NewJob = Annotated[Job | UnreadJob, Field(union_mode="left_to_right")]
"""An item of `create`: whatever it is, it stands in no other item's way."""
