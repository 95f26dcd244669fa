"""The sections of the configuration file."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from slurm_provider.config.access import Connect, Ssh
from slurm_provider.config.base import AbsolutePath, Section
from slurm_provider.config.choices import Choices
from slurm_provider.config.containers import Containers, Image
from slurm_provider.config.links import LINK_CATEGORY, PublicLinks
from slurm_provider.config.machines import VirtualMachines
from slurm_provider.config.maintenance import Maintenance
from slurm_provider.config.sessions import Sessions, Web
from slurm_provider.config.software import (
    ApplicationVersion,
    InstalledApplication,
    License,
    Modules,
    Sbatch,
    System,
)
from slurm_provider.config.today import Category, Orphans

SlurmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


def _endpoint(address: str) -> str:
    if address.startswith("unix:/"):
        return address
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    if address.startswith("tcp:") and host and port.isdigit():
        return address
    raise ValueError("must be unix:/path/of/socket or tcp:host:port")


def check_relay(sidecar: str, relay: str | None) -> None:
    """Raise ValueError for a relay that cannot stand beside this address of the sidecar."""
    if relay is None:
        return
    if sidecar.startswith("unix:"):
        raise ValueError("relay is for a sidecar behind tcp:; beside a Unix socket it has its own")
    if not relay.startswith("tcp:") or relay == sidecar:
        raise ValueError("relay must be a tcp:host:port of its own")


def _there(path: Path) -> Path:
    try:
        there = path.is_file()
    except PermissionError:  # it may be the other program's, in a folder closed to this one
        return path
    if not there:
        raise ValueError("there is no such file")
    return path


def _job_folder(template: str) -> str:
    if not template.startswith(("/", "~/")):
        raise ValueError("must begin with / or ~/")
    names = {
        name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        for _, name, form, conversion in Formatter().parse(template)
        if name is not None
    }
    if unknown := sorted(names - {"job", "user"}):
        raise ValueError(f"only {{job}} and {{user}} are filled in, not {{{unknown[0]}}}")
    if "job" not in names:
        raise ValueError("must contain {job}, or all jobs would share one folder")
    return template


File = Annotated[Path, AfterValidator(_there)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
JobFolder = Annotated[str, AfterValidator(_job_folder)]


class Tls(Section):
    """Mutual TLS: our own certificate and key, and the authority that must have signed the other end's."""

    certificate_file: File
    key_file: File
    ca_file: File


class Era(StrEnum):
    """Which Core is spoken to: that of the seed documents, or today's."""

    SEEDS = "seeds"
    TODAY = "today"


class Provider(Section):
    """Who this provider is."""

    id: Identifier


class Core(Section):
    """Where UCloud/Core is, and how the two trust each other."""

    url: str = Field(pattern=r"^https?://\S+$")
    public_key_file: File
    refresh_token_file: File
    era: Era = Era.SEEDS
    issuer: str = "cloud.sdu.dk"
    timeout_seconds: float = Field(default=10, gt=0)
    register_products: bool = False
    """Whether today's Core is told of the products at each start."""
    orphans: Orphans = Orphans()


class Facade(Section):
    """The HTTP server that Core calls."""

    listen: str = Field(default="127.0.0.1:8889", pattern=r"^\S+:\d+$")
    create_wait_seconds: float = Field(default=3, gt=0, lt=5)
    """How long `create` waits for Slurm before it answers all the same; Core gives up at 5 s."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    """Where browsers reach this server, if it is not where Core has it registered."""

    @property
    def websocket_url(self) -> str | None:
        """The same for WebSockets."""
        return self.public_url and f"ws{self.public_url.removeprefix('http')}"


class JobMapFile(Section):
    """The SQLite file."""

    path: AbsolutePath


class Tracker(Section):
    """How often Slurm is asked, and how patient the answers are read."""

    interval_seconds: float = Field(default=5, gt=0)
    accounting_interval_seconds: float = Field(default=60, gt=0)
    absence_grace_seconds: float = Field(default=30, ge=0)
    """A job is gone only when complete answers have left it out for this long."""
    lost_after_seconds: float = Field(default=3600, ge=0)
    """A job that squeue no longer has, and that accounting never ended, is given up after this long."""
    lookup_days: int = Field(default=30, gt=0)
    """How far back accounting is searched for a job that the job map does not know."""
    limits_interval_seconds: float = Field(default=60, gt=0)


class Cluster(Section):
    """One Slurm cluster, reached through its sidecar."""

    sidecar: Endpoint
    tls: Tls | None = None
    relay: Endpoint | None = None
    """The sidecar's `relay`, where it is reached over tcp:; web applications and desktops need it there."""
    job_folder: JobFolder = "~/ucloud-jobs/{job}"
    """Where a job runs: `{job}` and `{user}` (the local user) are filled in, `~` is that user's home."""
    containers: Containers | None = None

    register_outside_jobs: bool = False
    """Whether today's Core is told of jobs that mapped users have submitted without it."""
    report_outside_usage: bool = False
    """Whether what they use is reported as well."""

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.sidecar.startswith("tcp:") and self.tls is None:
            raise ValueError(
                "a sidecar behind tcp: needs the keys of [clusters.NAME.tls]; plain TCP is not spoken"
            )
        check_relay(self.sidecar, self.relay)
        return self

    @property
    def has_tunnels(self) -> bool:
        """Whether connections to jobs can be handed out by the sidecar."""
        return self.sidecar.startswith("unix:") or self.relay is not None


class Drive(Section):
    """A UCloud drive and the cluster's folder that holds it."""

    id: Identifier
    path: AbsolutePath
    cluster: Identifier | None = None
    """On whose login node terminals in its folders are opened; not said: that of the first cluster."""


Flag = Literal[
    "enabled", "web", "vnc", "logs", "terminal", "peers", "timeExtension", "suspension", "utilization",
    "bindLinkToPort",
]  # fmt: skip
SupportBlock = Mapping[Flag, bool]


class Support(Section):
    """What is declared for a product instead of what would be computed; what is not named is unsupported."""

    docker: SupportBlock = {}
    native: SupportBlock = {}
    virtualMachine: SupportBlock = {}  # noqa: N815 - UCloud's own spelling


class SuspendBy(StrEnum):
    """How a running job is suspended."""

    SUSPEND = "suspend"
    """It keeps its nodes and its memory, and goes on where it was."""
    REQUEUE_HOLD = "requeue-hold"
    """It gives its nodes back, and starts again from the beginning."""


class Product(Section):
    """A UCloud product (a machine type) and the share of a partition that it means."""

    category: Identifier
    id: Identifier
    cluster: str
    partition: SlurmName
    qos: SlurmName | None = None
    partition_choices: list[SlurmName] = []
    """Partitions that a user may choose instead."""
    qos_choices: list[SlurmName] = []
    """QOS that a user may choose instead."""
    constraint: str | None = None
    cpu: int = Field(default=1, ge=1)
    """Virtual cores of one replica, as are the memory and the GPUs."""
    memory_gib: float = Field(default=0, ge=0)
    gpu: int = Field(default=0, ge=0)
    grid_units: int | None = Field(default=None, ge=1)
    """Units in one charge; 15 for products paid by the minute, else 1."""
    price: int | None = Field(default=None, ge=0)
    """What one unit of one replica's use costs, in the category's accounting unit.

    For a category paid by its resource the number of its cores (or GPUs, …), for one paid in money the
    price times 1,000,000. Needed to register the product; otherwise Core's own price is the default.
    """
    description: str = ""
    cpu_model: str = ""
    memory_model: str = ""
    gpu_model: str = ""
    suspend: SuspendBy = SuspendBy.SUSPEND
    requeue: bool | None = None
    """Whether Slurm may start a job again from the beginning, e.g. after a node failure or a preemption.

    Not set: where the job's user asked for restarts (restartOnExit), where `suspend` needs it, and for
    virtual machines. A program that was not written for it may spoil its own results when it runs twice.
    """
    virtual_machines: bool = False
    """It runs virtual machines, and nothing else."""
    support: Support | None = None

    @model_validator(mode="after")
    def _can_be_suspended(self) -> Self:
        if self.requeue is False and self.suspend is SuspendBy.REQUEUE_HOLD:
            raise ValueError(
                'suspend = "requeue-hold" needs jobs that can be requeued: leave out requeue = false'
            )
        return self

    def may_requeue(self, *, wants_restarts: bool) -> bool:
        """Return whether Slurm may requeue a job, whose user wants it to be restarted or not."""
        if self.requeue is not None:
            return self.requeue
        return wants_restarts or self.virtual_machines or self.suspend is SuspendBy.REQUEUE_HOLD

    @model_validator(mode="after")
    def _memory(self) -> Self:
        if self.virtual_machines and not self.memory_gib:
            raise ValueError("a product for virtual machines needs memory_gib")
        return self


class Sidecar(Section):
    """The program on the login node."""

    listen: Endpoint = "unix:/run/slurm-provider/sidecar.sock"
    tls: Tls | None = None
    relay: Endpoint | None = None
    """With tcp: another tcp:host:port beside `listen`, for the bytes of web applications and desktops."""
    user: str = "slurm-provider-sidecar"
    """The service user, a Slurm Operator; the program becomes this user when it is started as root."""
    min_uid: int = Field(default=1000, ge=1)
    deny_users: list[str] = []
    allow_groups: list[str] = []
    """Only members of one of these groups; empty allows all."""
    agent_idle_seconds: float = Field(default=300, gt=0)
    command_timeout_seconds: float = Field(default=30, gt=0, le=60)
    """Must be above Slurm's own MessageTimeout (10 s by default), or its answers are cut off.

    At most 60: the façade waits 90 s for the sidecar, which may need some of them beside Slurm's command.
    """
    path: str = "/usr/local/bin:/usr/bin:/bin"
    slurm_conf: AbsolutePath | None = None

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.listen.startswith("tcp:") and self.tls is None:
            raise ValueError("listening on tcp: needs the keys of [sidecar.tls]; plain TCP is not spoken")
        check_relay(self.listen, self.relay)
        return self


class FacadeConfig(BaseModel):
    """All that `slurm-provider serve` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    core: Core
    jobmap: JobMapFile
    clusters: dict[Identifier, Cluster] = Field(min_length=1)
    products: list[Product] = Field(min_length=1)
    facade: Facade = Facade()
    tracker: Tracker = Tracker()
    drives: list[Drive] = []
    images: list[Image] = []
    maintenance: list[Maintenance] = []
    choices: Choices = Choices()
    ssh: Ssh = Ssh()
    connect: Connect | None = None
    sessions: Sessions = Sessions()
    web: Web | None = None
    """Without it no web application of a job can be opened."""
    public_links: list[PublicLinks] = []
    licenses: dict[str, License] = {}
    modules: Modules = Modules()
    system: System = System()
    applications: dict[ApplicationVersion, InstalledApplication] = {}
    sbatch: Sbatch = Sbatch()
    virtual_machines: VirtualMachines = VirtualMachines()
    categories: dict[Identifier, Category] = {}
    """How product categories are paid for; one that is not named has the defaults."""
    sidecar: Sidecar | None = None
    """The other program's, in a file that both read."""

    @model_validator(mode="after")
    def _possible_with_this_core(self) -> Self:
        """Refuse what only today's Core can do, and what it could not do with what is there."""
        outside = [name for name, cluster in self.clusters.items() if cluster.register_outside_jobs]
        if self.core.era is not Era.TODAY and (outside or self.core.register_products):
            raise ValueError('registering products or jobs needs core.era = "today"')
        without = [p.id for p in self.products if p.price is None]
        if self.core.register_products and without:
            raise ValueError(f"core.register_products needs each product's price; '{without[0]}' has none")
        return self

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> Self:
        if self.public_links and self.web is None:
            raise ValueError("public_links need the gateway that they lead to: set up [web]")
        names = [(product.category, product.id) for product in self.public_links]
        if twice := [name for number, name in enumerate(names) if name in names[:number]]:
            raise ValueError(f"there are two public_links called '{twice[0][0]}/{twice[0][1]}'")
        machines = {product.category for product in self.products}
        if shared := [category for category, _ in names if category in machines]:
            raise ValueError(f"the category '{shared[0]}' cannot hold both machines and public links")
        return self

    @model_validator(mode="after")
    def _drives_are_on_clusters(self) -> Self:
        for drive in self.drives:
            if drive.cluster is not None and drive.cluster not in self.clusters:
                raise ValueError(f"the drive '{drive.id}' is on no cluster that is there: '{drive.cluster}'")
        return self

    def category(self, name: str) -> Category:
        """Return how a product category is paid for."""
        links = any(product.category == name for product in self.public_links)
        return self.categories.get(name, LINK_CATEGORY if links else Category())

    def product(self, category: str | None, product_id: str | None) -> Product | None:
        """Return the product of that category and id, or None."""
        return next((p for p in self.products if (p.category, p.id) == (category, product_id)), None)

    def public_link(self, category: str, product_id: str) -> PublicLinks | None:
        """Return the product of public links of that category and id, or None."""
        return next((p for p in self.public_links if (p.category, p.id) == (category, product_id)), None)


class SidecarConfig(BaseModel):
    """All that `slurm-provider sidecar` reads; the façade's sections may stand in the same file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sidecar: Sidecar = Sidecar()

    @model_validator(mode="before")
    @classmethod
    def _without_the_facades(cls, sections: dict[str, Any]) -> dict[str, Any]:
        theirs = FacadeConfig.model_fields.keys() - cls.model_fields.keys()
        return {name: section for name, section in sections.items() if name not in theirs}
