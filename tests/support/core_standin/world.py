"""Everything the stand-in knows, and how it has been told to behave."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .catalogue import Catalogue
from .jobs import JobBook
from .journal import Journal, path_matches
from .keys import Keys
from .ledger import Ledger
from .links import LinkBook
from .usage import UsageBook
from .wire import Era, JsonObject


@dataclass
class Failure:
    """An answer to give instead of the right one, so many times.

    With `after` the call takes effect first, so that only its answer is lost.
    """

    path: str
    status: int
    times: int
    after: bool = False


@dataclass
class Behaviour:
    """Faults to play on the calls of the provider."""

    down: bool = False
    delay_seconds: float = 0.0
    doubled_slashes: bool = False
    restart_after_seconds: float | None = None
    """How long after its end a job with restartOnExit is created again; None: not by itself."""
    failures: list[Failure] = field(default_factory=list)

    def take_failure(self, path: str) -> Failure | None:
        """The failure due for this call, counted down."""
        for failure in self.failures:
            if failure.times > 0 and path_matches(path, failure.path):
                failure.times -= 1
                return failure
        return None


@dataclass
class World:
    """The state of one Core and its one provider."""

    era: Era
    provider_id: str
    provider_url: str
    keys: Keys
    catalogue: Catalogue
    journal: Journal
    jobs: JobBook
    ledger: Ledger = field(default_factory=Ledger)
    behaviour: Behaviour = field(default_factory=Behaviour)
    support: dict[tuple[str, str, str], JsonObject] = field(default_factory=dict)
    link_support: dict[tuple[str, str, str], JsonObject] = field(default_factory=dict)
    links: LinkBook = field(init=False)
    licences: dict[str, JsonObject] = field(default_factory=dict)
    """`{id, owner, product}` by id."""
    usage: UsageBook = field(default_factory=UsageBook)
    connections: set[str] = field(default_factory=set)
    """Users who have linked an account at the provider."""
    ssh_keys: dict[str, list[JsonObject]] = field(default_factory=dict)
    revoked: set[tuple[str, str]] = field(default_factory=set)
    """Users, and the UCloud paths of files that they have lost access to."""
    job_ended: Callable[[JsonObject], None] = lambda _row: None
    """Called with the row of a job whose end the provider has told."""

    def __post_init__(self) -> None:
        self.links = LinkBook(self.era, self.jobs)
