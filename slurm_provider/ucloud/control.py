"""What the provider sends to Core's control API (UCloud's JobsControl), field by field."""

from pydantic import BaseModel, Field

from slurm_provider.ucloud.bulk import Received
from slurm_provider.ucloud.jobs import JobState, NameAndVersion, ProductReference, SimpleDuration


class JobUpdate(BaseModel):
    """A change of a job. `newTimeAllocation` is the new total in milliseconds.

    Core fills in the time; a null there would not parse in today's, so it is 0.
    """

    state: JobState | None = None
    outputFolder: str | None = None
    status: str | None = None
    expectedState: JobState | None = None
    expectedDifferentState: bool | None = None
    newTimeAllocation: int | None = None
    allowRestart: bool | None = None
    newMounts: list[str] | None = None
    timestamp: int = 0


class JobUpdateItem(BaseModel):
    """One item of `jobs/control/update`."""

    id: str
    update: JobUpdate


class ChargeItem(BaseModel):
    """One item of `chargeCredits` and `checkCredits`: `units` price units, `periods` times."""

    id: str
    chargeId: str
    units: int
    periods: int
    performedBy: str | None = None
    description: str | None = None


class JobReference(Received):
    """A job named in an answer."""

    id: str


class ChargeAnswer(Received):
    """Core's answer to `chargeCredits` and `checkCredits`."""

    insufficientFunds: list[JobReference] | None = None
    duplicateCharges: list[JobReference] | None = None

    @property
    def without_funds(self) -> set[str]:
        """The ids of the jobs that can no longer be paid."""
        return {reference.id for reference in self.insufficientFunds or []}


class RegisteredSpecification(BaseModel):
    """A JobSpecification of a job that did not begin at UCloud."""

    application: NameAndVersion
    product: ProductReference
    name: str
    replicas: int
    allowDuplicateJob: bool = True
    timeAllocation: SimpleDuration | None


class RegisterItem(BaseModel):
    """One item of `jobs/control/register`: `providerGeneratedId` is what it can be found by at Core."""

    spec: RegisteredSpecification
    providerGeneratedId: str
    createdBy: str
    project: str | None
    projectAllRead: bool = False
    projectAllWrite: bool = False


class UsageOwner(BaseModel):
    """Whose wallet is meant: a user's or a project's."""

    type: str
    username: str = ""
    projectId: str = ""


class UsageCategory(BaseModel):
    """A product category."""

    name: str
    provider: str


class UsageDescription(BaseModel):
    """What a report is about: totals are kept by owner and scope."""

    scope: str
    description: str | None = None


class UsageItem(BaseModel):
    """One item of `accounting/v2/reportUsage`: the scope's total so far, in the category's unit."""

    isDeltaCharge: bool = False
    owner: UsageOwner
    categoryIdV2: UsageCategory
    usage: int
    description: UsageDescription


class UsageAnswer(Received):
    """Core's answer to `reportUsage`: whether each owner's wallet is still open."""

    responses: list[bool]


class ExistenceAnswer(Received):
    """Core's answer to `providers/resources/checkExistence`: which resources there are."""

    responses: list[bool]


class AccessToken(Received):
    """One item of the answer to `auth/providers/refresh`."""

    accessToken: str


class RefreshAnswer(Received):
    """The answer to `auth/providers/refresh`."""

    responses: list[AccessToken] = Field(min_length=1)
