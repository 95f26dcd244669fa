"""The job map itself: every method is one transaction."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from slurm_provider.jobmap.file import SqliteFile
from slurm_provider.jobmap.links import PublicLinks
from slurm_provider.jobmap.outbox import Outbox
from slurm_provider.jobmap.output import Outputs
from slurm_provider.jobmap.outside import OutsideJobs
from slurm_provider.jobmap.rows import (
    FINAL_STATES,
    Attempt,
    Charge,
    ClusterRow,
    JobChange,
    JobRow,
    OutboxItem,
    OutboxKind,
    Submission,
    UserMapping,
)
from slurm_provider.jobmap.sessions import Sessions
from slurm_provider.jobmap.ssh_keys import SshKeys
from slurm_provider.jobmap.suspects import Suspects
from slurm_provider.jobmap.targets import Targets
from slurm_provider.ucloud.control import ChargeItem, JobUpdate, JobUpdateItem, UsageItem
from slurm_provider.ucloud.jobs import JobState

Decision = Callable[[JobRow], JobChange | None]
"""What is decided about a job as it is now: a change, or None to leave it."""


UsageOf = Callable[[JobRow], UsageItem | None]
"""What is told of a job's usage to a Core that takes totals; None when nothing is."""


class UnmappedError(LookupError):
    """A UCloud user or project that the site has not mapped; the text is for the user."""


class JobMap:
    """The SQLite file at `path`, made and migrated when it is opened.

    One program writes (the façade); the command line adds mappings and reads. `clock` gives the
    epoch second. With `usage_of` Core is told a job's total where it would be told its charges.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float], usage_of: UsageOf | None = None) -> None:
        self._usage_of = usage_of
        self._file = SqliteFile(path, clock)
        self._db = self._file.db
        self.outbox = Outbox(self._file)
        self.ssh = SshKeys(self._file)
        self.sessions = Sessions(self._file)
        self.suspects = Suspects(self._file)
        self.outside = OutsideJobs(self._file)
        self.links = PublicLinks(self._file, self.outbox)
        self.targets = Targets(self._file)
        self.outputs = Outputs(self._file)
        if usage_of is not None:
            self._report_waiting_charges()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # jobs

    def job(self, job_id: str) -> JobRow | None:
        """Return a job, or None."""
        return next(self._jobs("job_id = ?", [job_id]), None)

    def open_jobs(self, cluster: str) -> list[JobRow]:
        """Return the jobs of a cluster whose end has not been told yet."""
        return list(self._jobs(f"cluster = ? AND state NOT IN ({FINAL_STATES})", [cluster]))

    def jobs_since(self, cluster: str, since: int) -> list[JobRow]:
        """Return the jobs of a cluster that live, or ended at or after an epoch second."""
        where = f"cluster = ? AND (ended_at >= ? OR state NOT IN ({FINAL_STATES}))"
        return list(self._jobs(where, [cluster, since]))

    def attempts(self, cluster: str) -> dict[str, list[Attempt]]:
        """Return the attempts of each open job of a cluster, since its last restart, oldest first."""
        open_jobs = f"SELECT job_id, restart FROM jobs WHERE cluster = ? AND state NOT IN ({FINAL_STATES})"  # noqa: S608
        rows = self._db.table("attempts").rows_where(
            f"(job_id, restart) IN ({open_jobs})", [cluster], order_by="submit_time"
        )
        found: dict[str, list[Attempt]] = {}
        for row in rows:
            found.setdefault(row["job_id"], []).append(Attempt(**row))
        return found

    def _jobs(self, where: str, arguments: list[Any]) -> Iterator[JobRow]:
        for row in self._db.table("jobs").rows_where(where, arguments, order_by="created_at, job_id"):
            yield JobRow(**{name: _TYPES.get(name, _as_is)(value) for name, value in row.items()})

    def add_jobs(self, jobs: Iterable[tuple[JobRow, JobChange]]) -> dict[str, str]:
        """Write new jobs, each with its first change; a job that is there already is left as it is.

        Return which were not written, and why: another job holds a public link that they take.
        """
        refused = {}
        with self._file.writing():
            for row, change in jobs:
                if self.job(row.job_id) is not None:
                    continue
                if why := self.links.objection(row.job_id, change.links):
                    refused[row.job_id] = why
                    continue
                self._db.table("jobs").insert(asdict(row))
                self._apply(change)
        return refused

    def change_job(self, job_id: str, decide: Decision) -> JobRow | None:
        """Decide about a job and write what is decided, in one transaction; return the job as it was.

        So nothing that another call writes in the meantime is overwritten. Raises LinkTaken, and writes
        nothing, where another job holds a public link that the job takes.
        """
        with self._file.writing():
            job = self.job(job_id)
            if job and (change := decide(job)):
                self._apply(change)
        return job

    def change_open_jobs(self, cluster: str, decide: Decision) -> None:
        """Decide about every open job of a cluster and write what is decided, in one transaction."""
        with self._file.writing():
            for job in self.open_jobs(cluster):
                if change := decide(job):
                    self._apply(change)

    def apply(self, changes: Iterable[JobChange]) -> None:
        """Write changes and all that Core must be told of them, in one transaction."""
        with self._file.writing():
            for change in changes:
                self._apply(change)

    def _apply(self, change: JobChange) -> None:
        if change.columns:
            self._db.table("jobs").update(change.job_id, dict(change.columns))
        for attempt in change.attempts:
            self._db.table("attempts").upsert(asdict(attempt), pk=("job_id", "slurm_id", "submit_time"))
        for charge in change.charges:
            self._charge(charge)
        self._report_usage(change)
        if change.links:
            self.links.bind(change.job_id, change.links)
        if change.targets is not None:
            self.targets.replace(change.job_id, change.targets)
        for update in change.updates:
            self.outbox.post_update(change.job_id, update)

    def _charge(self, charge: Charge) -> None:
        row = {**asdict(charge), "created_at": self._file.now()}
        if self._db.execute("SELECT 1 FROM charges WHERE charge_id = ?", [charge.charge_id]).fetchone():
            return
        self._db.table("charges").insert(row)
        if self._usage_of is not None:
            return
        item = ChargeItem(
            id=charge.job_id, chargeId=charge.charge_id, units=charge.units, periods=charge.periods
        )
        self.outbox.post(charge.job_id, OutboxKind.CHARGE, item.model_dump_json())

    def _report_usage(self, change: JobChange) -> None:
        """Queue the totals of the starts that were charged, and of the last one when that is asked for."""
        job = self.job(change.job_id)
        if job is None or self._usage_of is None:
            return
        restarts = {charge.restart for charge in change.charges}
        if change.reports_usage:
            restarts.add(job.restart)
        for restart in sorted(restarts):
            self._report_total(job, restart)

    def _report_total(self, job: JobRow, restart: int) -> None:
        if self._usage_of is None:
            return
        # What Core has taken as charges, before it took totals, must not be in a total as well.
        units = self._db.execute(
            "SELECT coalesce(sum(to_unit - from_unit), 0) FROM charges WHERE job_id = :job_id"
            " AND restart = :restart AND charge_id NOT IN (SELECT json_extract(body, '$.chargeId')"
            " FROM outbox WHERE job_id = :job_id AND kind = 'charge' AND delivered_at IS NOT NULL)",
            {"job_id": job.job_id, "restart": restart},
        ).fetchone()[0]
        if usage := self._usage_of(replace(job, restart=restart, charged_units=units)):
            self.outbox.post_usage(job.job_id, usage)

    def _report_waiting_charges(self) -> None:
        """Let totals stand for the charges that a Core which took charges has not been told."""
        with self._file.writing():
            starts = self._db.execute(
                "SELECT DISTINCT job_id, restart FROM charges WHERE charge_id IN"
                " (SELECT json_extract(body, '$.chargeId') FROM outbox"
                " WHERE kind = 'charge' AND delivered_at IS NULL AND refused_at IS NULL)"
            ).fetchall()
            self._db.execute(
                "DELETE FROM outbox WHERE kind = 'charge' AND delivered_at IS NULL AND refused_at IS NULL"
            )
            for job_id, restart in starts:
                if job := self.job(job_id):
                    self._report_total(job, restart)

    def tell(self, job_id: str, update: JobUpdate) -> None:
        """Queue an update for Core about a job that need not be in the map."""
        with self._file.writing():
            self.outbox.post_update(job_id, update)

    def tell_if_unknown(self, job_id: str, update: JobUpdate) -> bool:
        """Queue an update about a job unless it is in the map by now; return whether it was queued."""
        with self._file.writing():
            if self.job(job_id) is not None:
                return False
            self.outbox.post_update(job_id, update)
        return True

    def tell_of_ssh(self, job_id: str, update: JobUpdate) -> None:
        """Queue the update that answers a job's wish for SSH."""
        with self._file.writing():
            self.outbox.post_update(job_id, update)
            self.ssh.answered(job_id)

    def offer_restarts(self, items: Iterable[OutboxItem]) -> None:
        """Note that Core is about to be told by these items of ends after which it may create jobs anew."""
        updates = [JobUpdateItem.model_validate_json(item.body) for item in items]
        ids = [update.id for update in updates if update.update.allowRestart]
        if ids:
            with self._file.writing():
                self._db.execute(
                    f"UPDATE jobs SET restart_offered = 1 WHERE allow_restart AND state IN ({FINAL_STATES})"  # noqa: S608
                    " AND job_id IN (SELECT value FROM json_each(?))",
                    [json.dumps(ids)],
                )

    # clusters

    def cluster(self, cluster: str) -> ClusterRow:
        """Return what is kept of a cluster, which is known from now on if it was not before."""
        with self._file.writing():
            self._db.execute(
                "INSERT OR IGNORE INTO clusters (cluster, known_since) VALUES (?, ?)",
                [cluster, self._file.now()],
            )
        return ClusterRow(**next(self._db.query("SELECT * FROM clusters WHERE cluster = ?", [cluster])))

    def set_limits(self, cluster: str, limits: str) -> None:
        """Keep the limits of a cluster that is known, as JSON."""
        with self._file.writing():
            self._db.table("clusters").update(cluster, {"limits": limits})

    def set_accounting_watermark(self, cluster: str, watermark: int) -> None:
        """Note when accounting of a cluster that is known was last read as a whole."""
        with self._file.writing():
            self._db.table("clusters").update(cluster, {"accounting_watermark": watermark})

    # people

    def map_user(self, mapping: UserMapping) -> None:
        """Map a UCloud user to a local user and the account of jobs outside projects."""
        with self._file.writing():
            self._db.table("users").upsert(asdict(mapping), pk="ucloud_user")

    def map_project(self, project: str, account: str) -> None:
        """Map a UCloud project to a Slurm account."""
        with self._file.writing():
            self._db.table("projects").upsert({"project": project, "account": account}, pk="project")

    def unmap(self, name: str) -> int | None:
        """Remove the mapping of a UCloud user, whose sessions are closed with it, or of a project.

        Return how many sessions that were, None where nothing was mapped.
        """
        with self._file.writing():
            users = self._db.execute("DELETE FROM users WHERE ucloud_user = ?", [name]).rowcount
            projects = self._db.execute("DELETE FROM projects WHERE project = ?", [name]).rowcount
            closed = self.sessions.close_unmapped(name) if users else 0
        return closed if users + projects > 0 else None

    def mappings(self) -> tuple[list[UserMapping], dict[str, str]]:
        """Return all users, and the account of each project."""
        users = [UserMapping(**row) for row in self._db.query("SELECT * FROM users ORDER BY ucloud_user")]
        projects = self._db.query("SELECT * FROM projects ORDER BY project")
        return users, {row["project"]: row["account"] for row in projects}

    def local_identity(self, ucloud_user: str, project: str | None) -> tuple[str, str]:
        """Return the local user and the account of a job's owner; raise UnmappedError for one not mapped."""
        user = next(self._db.query("SELECT * FROM users WHERE ucloud_user = ?", [ucloud_user]), None)
        if user is None:
            raise UnmappedError(f"the user '{ucloud_user}' has no account on this cluster yet")
        if project is None:
            return user["local_user"], user["account"]
        row = next(self._db.query("SELECT * FROM projects WHERE project = ?", [project]), None)
        if row is None:
            raise UnmappedError(f"the project '{project}' has no account on this cluster yet")
        return user["local_user"], row["account"]

    # for people

    def overview(self, job_id: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of the view `jobs_overview`, newest first, or that of one job."""
        view = self._db.view("jobs_overview")
        if job_id is not None:
            return list(view.rows_where("job_id = ?", [job_id]))
        return list(view.rows_where(order_by="submitted DESC"))

    def history(self, job_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the attempts of a job, its charges, and what Core was told of it, in order."""
        tables = {"attempts": "submit_time", "charges": "restart, from_unit", "outbox": "id"}
        history = {
            table: list(self._db.table(table).rows_where("job_id = ?", [job_id], order_by=order))
            for table, order in tables.items()
        }
        for item in history["outbox"]:
            item["body"] = json.loads(item["body"])
        return history


def _as_is(value: Any) -> Any:
    return value


_TYPES: dict[str, Callable[[Any], Any]] = {
    "submission": Submission,
    "try_answered": bool,
    "state": JobState,
    "wished_state": lambda value: value and JobState(value),
    "allow_restart": lambda value: None if value is None else bool(value),
    "restart_offered": bool,
}
