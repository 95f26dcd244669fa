"""A job that is created anew after its end (UCloud's restartOnExit): each time another Slurm job."""

from dataclasses import fields, replace

from slurm_provider.jobmap import JobChange, JobRow
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState


def may_restart(job: JobRow) -> bool:
    """Return whether a `create` of this job means that it shall start anew.

    Core asks for that after it was told of an end that allows it. A `create` that comes before Core
    can have been told is the repetition of an earlier one, and so is one of a job that lives. What
    its user or an administrator has ended, or what has used up its time, has ended for good.
    """
    return job.state.is_final and job.allow_restart is True and job.restart_offered


def restarted(job: JobRow, anew: JobRow, change: JobChange) -> JobChange | None:
    """Return the change that makes an ended job the intent of its next start.

    Where that has begun already, or its user has just ended the job for good, Core is told how it is.
    `anew` is the row that a new job would get, with the number and tag of the restart, and `change`
    what Core would be told of it. Price unit and grid are kept from the job's creation.
    """
    if not may_restart(job) or anew.restart != job.restart + 1:
        return repeated(job)
    anew = replace(
        anew,
        created_at=job.created_at,
        unit_seconds=job.unit_seconds,
        grid_units=job.grid_units,
        unit_price=job.unit_price,
    )
    columns = {
        field.name: getattr(anew, field.name)
        for field in fields(JobRow)
        if getattr(anew, field.name) != getattr(job, field.name)
    }
    message = JobUpdate(state=JobState.IN_QUEUE, status=f"The job starts again (restart {anew.restart})")
    return replace(change, columns=columns, updates=[message, *change.updates])


def ended_for_good(job: JobRow, why: str) -> JobChange | None:
    """Return the change that ends a job which was to start anew but cannot, for a reason in words."""
    if not may_restart(job):
        return repeated(job)
    message = f"The job cannot start again: {why}"
    columns = {"state": JobState.FAILURE, "message": message, "allow_restart": False}
    update = JobUpdate(state=JobState.FAILURE, status=message, allowRestart=False)
    return JobChange(job.job_id, columns, updates=[update])


def repeated(job: JobRow) -> JobChange | None:
    """Return what Core is told when it creates a job that is not started for it: how the job is.

    Only where the job was, or might have been, created anew: Core may have taken its `create` for
    the beginning of a restart, and have passed over what it was told before.
    """
    if job.state.is_final and job.allow_restart is False:
        return JobChange(job.job_id, updates=[end_again(job)])
    if job.restart and not job.state.is_final:
        return JobChange(job.job_id, updates=[JobUpdate(state=job.state, status=job.message)])
    return None


def never_again(job: JobRow) -> JobChange | None:
    """Return the change that keeps an ended job from being started anew."""
    if not (job.state.is_final and job.allow_restart):
        return None
    ended = replace(job, allow_restart=False)
    return JobChange(job.job_id, {"allow_restart": False}, updates=[end_again(ended)])


def end_again(job: JobRow) -> JobUpdate:
    """Return the update that tells the end of a job once more."""
    return JobUpdate(state=job.state, status=job.message, allowRestart=job.allow_restart)
