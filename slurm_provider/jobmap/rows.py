"""The rows of the job map's tables, as the rest of the program sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState


class Submission(StrEnum):
    """How far a job has come on its way to Slurm."""

    INTENT = "INTENT"
    """Not submitted, as far as is known: the job's tag is looked up before any further try."""
    SUBMITTED = "SUBMITTED"
    """Slurm has the job; its id is known."""
    NONE = "NONE"
    """Slurm has no job and will get none."""


FINAL_STATES = ", ".join(f"'{state}'" for state in JobState if state.is_final)
"""As a list in SQL."""

OUTSIDE = "outside "
"""How the tags of jobs begin that were submitted without UCloud; no job in Slurm bears them."""


@dataclass(frozen=True)
class JobRow:
    """A job. Times are epoch seconds."""

    job_id: str
    cluster: str
    ucloud_user: str
    project: str | None
    local_user: str
    account: str
    application: str
    category: str
    product: str
    replicas: int
    partition: str
    qos: str
    tag: str
    unit_seconds: int
    """Length of one unit of the product's price; 0 for products paid once."""
    grid_units: int
    """Units in one charge, kept from the job's creation."""
    created_at: int
    """When Core made the job."""
    submission: Submission = Submission.INTENT
    state: JobState = JobState.IN_QUEUE
    time_limit_seconds: int | None = None
    submit_request: str | None = None
    """The request to the sidecar as JSON."""
    tries: int = 0
    last_try_at: int | None = None
    """When the last try to submit began or, once it was answered, when that was."""
    try_answered: bool = True
    """Whether the last try was answered: if not, sbatch may still be running."""
    doubts: int = 0
    """Tries that Slurm answered without taking the job or turning it down."""
    slurm_id: int | None = None
    slurm_submit_time: int | None = None
    """Slurm's submit time of the attempt last seen in the queue."""
    slurm_state: str | None = None
    slurm_reason: str | None = None
    stuck_ticks: int = 0
    """Ticks in a row on which Slurm gave a reason for waiting that can never clear."""
    missing_since: int | None = None
    node_list: str | None = None
    folder: str | None = None
    submitted_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    message: str | None = None
    """The last state's message, repeated when Core asks again about a finished job."""
    wished_state: JobState | None = None
    """The final state of a job that we are ending ourselves, told once Slurm confirms the end."""
    wished_message: str | None = None
    unit_price: int = 1
    """What a unit of one replica costs in the category's accounting unit; 0: nothing is to be paid."""
    elapsed_seconds: int = 0
    charged_units: int = 0
    credits_checked_units: int | None = None
    restart: int = 0
    """How often the job was created anew after an end (restartOnExit): each time another Slurm job."""
    allow_restart: bool | None = None
    """Whether Core may create the job anew after its end; None where its user did not ask for it."""
    restart_offered: bool = False
    """Whether Core has been told, or may have been, of an end after which it may create the job anew."""
    waiting_reason: str | None = None
    """Slurm's code of the reason for waiting that the user was told last."""
    waiting_until: int | None = None
    """The start that was told with it."""
    waiting_told_at: int | None = None

    @property
    def in_slurm(self) -> bool:
        """Whether Slurm has, or had, the job and its end has not been told yet."""
        return self.submission == Submission.SUBMITTED and not self.state.is_final

    @property
    def is_outside(self) -> bool:
        """Whether the job was submitted without UCloud: nothing that UCloud lacks or expects ends it."""
        return self.tag.startswith(OUTSIDE)


@dataclass(frozen=True)
class Attempt:
    """One run of a job under a Slurm id: a requeue keeps the id and changes the submit time."""

    job_id: str
    slurm_id: int
    submit_time: int
    state: str
    start_time: int
    end_time: int
    elapsed_seconds: int
    exit_code: int
    exit_signal: int
    node_list: str
    restart: int = 0
    """Which restart of the job (JobRow.restart) it belongs to."""


@dataclass(frozen=True)
class Charge:
    """A line of the ledger: `units` of the product's price unit, once a replica (`periods`)."""

    charge_id: str
    job_id: str
    from_unit: int
    to_unit: int
    periods: int
    restart: int = 0

    @property
    def units(self) -> int:
        """The number of units charged."""
        return self.to_unit - self.from_unit


@dataclass(frozen=True)
class LinkUse:
    """A public link that a job takes; without a port it leads to the application's own."""

    link_id: str
    port: int | None = None


@dataclass(frozen=True)
class Target:
    """One more interface of a job, WEB or VNC; port 0 is the one that the job is given.

    The one without a name (`target` is empty) stands for the application's own interface.
    """

    rank: int
    type: str
    target: str
    port: int


@dataclass(frozen=True)
class JobChange:
    """What happened to a job: written, with all that Core must be told of it, in one transaction."""

    job_id: str
    columns: Mapping[str, object] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()
    updates: Sequence[JobUpdate] = ()
    charges: Sequence[Charge] = ()
    reports_usage: bool = False
    """Whether today's Core is told the job's usage although there is no new charge."""
    links: Sequence[LinkUse] = ()
    """Public links that the job holds from now on, as long as it lives."""
    targets: Sequence[Target] | None = None
    """The job's further interfaces, in place of those that it had; None leaves them."""


@dataclass(frozen=True)
class ClusterRow:
    """What is kept of a cluster; `limits` is the contract's Limits as JSON."""

    cluster: str
    known_since: int
    accounting_watermark: int | None
    limits: str | None


class OutboxKind(StrEnum):
    """Which of Core's calls an item belongs to."""

    UPDATE = "update"
    CHARGE = "charge"
    USAGE = "usage"
    LINK = "link"


@dataclass(frozen=True)
class OutboxItem:
    """Something that Core has not been told yet: `body` is the JSON of one item of the call."""

    id: int
    job_id: str
    kind: OutboxKind
    body: str
    tries: int


@dataclass(frozen=True)
class UserMapping:
    """A UCloud user's local user; `account` is charged for jobs outside projects."""

    ucloud_user: str
    local_user: str
    account: str
