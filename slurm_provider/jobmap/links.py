"""Public links: domains of users, each of which leads to one job at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.outbox import Outbox
from slurm_provider.jobmap.rows import FINAL_STATES, LinkUse
from slurm_provider.ucloud.ingresses import IngressState, IngressUpdate
from slurm_provider.ucloud.jobs import JobState

_LINKS = f"""
    SELECT links.link_id, links.domain, links.category, links.product, links.ucloud_user, links.project,
           links.created_at, links.port, jobs.job_id, jobs.state, jobs.wished_state
      FROM public_links AS links
      LEFT JOIN jobs ON jobs.job_id = links.job_id AND jobs.state NOT IN ({FINAL_STATES})
"""  # noqa: S608
"""Each link with the job that holds it: a job that has ended holds none, so nothing need be undone."""


class LinkTaken(Exception):
    """Why a job cannot have a public link, or a public link its domain, in words for the user."""


@dataclass(frozen=True)
class PublicLink:
    """A public link, as its user has made it."""

    link_id: str
    domain: str
    category: str
    product: str
    ucloud_user: str
    project: str | None
    created_at: int


@dataclass(frozen=True)
class LinkBinding:
    """A public link and the living job that holds it, if there is one.

    It leads to rank 0 of the job: to `port`, or where that is None to the application's own.
    """

    link: PublicLink
    job_id: str | None
    port: int | None
    is_open: bool
    """Whether there is such a job, it is running, and nobody is about to end it."""
    rank: int = 0


class PublicLinks:
    """The table of public links."""

    def __init__(self, file: SqliteFile, outbox: Outbox) -> None:
        self._file = file
        self._db = file.db
        self._outbox = outbox

    def at(self, domain: str) -> LinkBinding | None:
        """Return the link of a host name (without port, in any case) and where it leads; None without one.

        For the gateway: a request for this name goes to `port` (None: the application's own) of `rank`
        of the job `job_id` if `is_open`; else nobody is to be let through.
        """
        return self._one("domain = ?", domain.lower())

    def get(self, link_id: str) -> LinkBinding | None:
        """Return a link and where it leads, or None."""
        return self._one("link_id = ?", link_id)

    def add(self, links: Iterable[PublicLink]) -> list[str]:
        """Write new links, which Core is told to be ready; one that is there already is left as it is.

        Return the ids of the new ones. Raises LinkTaken, and writes nothing, where a domain or an id
        belongs to another link.
        """
        added = []
        with self._file.writing():
            for link in links:
                known = self.get(link.link_id)
                if (other := self.at(link.domain)) and other.link.link_id != link.link_id:
                    raise LinkTaken(f"the domain '{link.domain}' is taken already; please choose another")
                if known and known.link.domain != link.domain:
                    raise LinkTaken(f"the public link {link.link_id} has the domain '{known.link.domain}'")
                if known is None:
                    self._db.table("public_links").insert({**asdict(link), "job_id": None, "port": None})
                    self._outbox.post_link_update(link.link_id, READY)
                    added.append(link.link_id)
        return added

    def delete(self, link_ids: Iterable[str]) -> None:
        """Delete links; one that is not there is deleted already.

        Raises LinkTaken, and deletes nothing, where a job that has not ended holds one of them.
        """
        with self._file.writing():
            for link_id in link_ids:
                found = self.get(link_id)
                if found and found.job_id:
                    raise LinkTaken(
                        f"the public link '{found.link.domain}' is in use by the job {found.job_id};"
                        " end the job, then delete the link"
                    )
                self._db.execute("DELETE FROM public_links WHERE link_id = ?", [link_id])
                self._outbox.forget_link(link_id)

    def tell(self, link_id: str, update: IngressUpdate) -> None:
        """Queue an update for Core about a link that need not be known."""
        with self._file.writing():
            self._outbox.post_link_update(link_id, update)

    def tell_ready(self, link_id: str) -> None:
        """Tell Core once more that a link is ready."""
        self.tell(link_id, READY)

    def objection(self, job_id: str, uses: Sequence[LinkUse]) -> str | None:
        """Return why a job cannot have these links now, in words, or None."""
        for use in uses:
            found = self.get(use.link_id)
            if found is None:
                return f"the public link {use.link_id} is not known to this provider"
            if found.job_id not in (None, job_id):
                return (
                    f"the public link '{found.link.domain}' is in use by the job {found.job_id};"
                    " it is free again when that has ended"
                )
        return None

    def bind(self, job_id: str, uses: Sequence[LinkUse]) -> None:
        """Give links to a job within the transaction of its change; raise LinkTaken for one in use."""
        if why := self.objection(job_id, uses):
            raise LinkTaken(why)
        for use in uses:
            self._db.table("public_links").update(use.link_id, {"job_id": job_id, "port": use.port})

    def _one(self, where: str, argument: str) -> LinkBinding | None:
        for row in self._db.query(f"{_LINKS} WHERE {where}", [argument]):
            job_id, port, state, wished = (
                row.pop(name) for name in ("job_id", "port", "state", "wished_state")
            )
            is_open = state == JobState.RUNNING and wished is None
            return LinkBinding(PublicLink(**row), job_id, port if job_id else None, is_open)
        return None


READY = IngressUpdate(state=IngressState.READY, status="The public link is ready to be used")
