"""Usage as today's Core is told it: the total of a job so far.

A total is said under a scope of the job's own (one for each restart), so that saying it again
changes nothing. It goes through the outbox, which tells a job's items in their order, and the charges
of a job only grow: so Core never hears of a smaller total after a larger one.
"""

from slurm_provider.jobmap import Door, JobChange, JobMap, JobRow
from slurm_provider.tracker.charges import charge_prefix
from slurm_provider.tracker.credits import is_due, whole_units
from slurm_provider.ucloud.control import UsageCategory, UsageDescription, UsageItem, UsageOwner


def usage_of(provider_id: str, job: JobRow) -> UsageItem | None:
    """Return the report of what a job has been charged so far; None for one that is not paid for."""
    if job.unit_price == 0:
        return None
    owner = UsageOwner(type="user", username=job.ucloud_user)
    if job.project is not None:
        owner = UsageOwner(type="project", projectId=job.project)
    return UsageItem(
        owner=owner,
        categoryIdV2=UsageCategory(name=job.category, provider=provider_id),
        usage=job.charged_units * job.replicas * job.unit_price,
        description=UsageDescription(scope=charge_prefix(provider_id, job)),
    )


class UsageCheck:
    """Reports the totals of running jobs again: at their start, and once a unit that no charge has told.

    Core's answer says whether the owner can still pay. Its legacy call checkCredits says the same, but
    needs the job's row at Core, and is made for providers that charge credits.
    """

    def __init__(self, jobmap: Door) -> None:
        self._jobmap = jobmap

    async def run(self, cluster: str) -> None:
        """Queue the reports of a cluster's jobs that are due."""
        await self._jobmap.call(JobMap.change_open_jobs, cluster, _report_again)


def _report_again(job: JobRow) -> JobChange | None:
    if job.unit_price == 0 or not is_due(job):
        return None
    return JobChange(job.job_id, {"credits_checked_units": whole_units(job)}, reports_usage=True)
