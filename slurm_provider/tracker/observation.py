"""One look at Slurm and what it means for one job: a pure function from rows to a change."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from slurm_provider.config import Era
from slurm_provider.jobmap import Attempt, JobChange, JobRow
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.attempts import attempt_of
from slurm_provider.tracker.charges import due
from slurm_provider.tracker.messages import end_message, live_message, requeue_message
from slurm_provider.tracker.reasons import STUCK_REASONS, is_held, is_paused
from slurm_provider.tracker.states import SlurmState, ends_for_good, may_follow, ucloud_state
from slurm_provider.tracker.waiting import tell_waiting
from slurm_provider.ucloud.control import JobUpdate
from slurm_provider.ucloud.jobs import JobState

STUCK_TICKS = 2
"""Ticks in a row after which a reason for waiting is believed: Slurm's first one may differ."""


@dataclass(frozen=True)
class Look:
    """What Slurm said of one job; `records` is None when accounting gave no complete answer."""

    live: LiveJob | None
    records: Sequence[AccountingRecord] | None
    attempts: Sequence[Attempt]
    """The attempts that the job map knows, which a record of the same submit time replaces."""


@dataclass(frozen=True)
class Rules:
    """What a site or Core's era decides."""

    provider_id: str
    era: Era
    absence_grace_seconds: float
    lost_after_seconds: float


def observe(job: JobRow, look: Look, rules: Rules, now: int) -> JobChange | None:
    """Return what a look at Slurm changes, or None when nothing does.

    Only what was found, or is surely absent, changes a state; of an incomplete answer nothing is
    concluded. An end is told only with its accounting record, which has the reason and the use.
    """
    if job.state.is_final:
        return None
    after = replace(job, missing_since=None)
    updates: list[JobUpdate] = []
    live_state = ucloud_state(look.live.state, rules.era) if look.live else None
    alive = live_state is not None and not live_state.is_final
    attempts = _merge(job, look, alive=alive)
    after = replace(after, elapsed_seconds=sum(attempt.elapsed_seconds for attempt in attempts))

    if look.live and live_state and alive:
        after = _requeued(after, look.live, live_state, attempts, updates)
        after = _alive(after, look.live, live_state, updates, now)
    elif end := _end(look, rules.era):
        after = _ended(after, *end, look.live, updates)
    elif look.live is None:
        after = _missing(job, after, look, rules, now, updates)

    charges = due(rules.provider_id, after, after.elapsed_seconds, ended=after.state.is_final)
    if charges:
        after = replace(after, charged_units=charges[-1].to_unit)
    columns = {
        field.name: getattr(after, field.name)
        for field in fields(JobRow)
        if getattr(after, field.name) != getattr(job, field.name)
    }
    fresh = [attempt for attempt in attempts if attempt not in look.attempts]
    if not (columns or fresh or updates or charges):
        return None
    return JobChange(job.job_id, columns, attempts=fresh, updates=updates, charges=charges)


def _merge(job: JobRow, look: Look, *, alive: bool) -> list[Attempt]:
    """Return the job's attempts, oldest first.

    The time in use of an attempt that accounting has not ended grows with the clock. It is believed
    only while the queue has that attempt as well: slurmdbd may learn of an end much later.
    """
    merged = {attempt.submit_time: attempt for attempt in look.attempts}
    for record in look.records or ():
        if not record.end_time and not (alive and look.live and look.live.submit_time == record.submit_time):
            continue
        merged[record.submit_time] = attempt_of(record, job.job_id, job.restart)
    return [merged[time] for time in sorted(merged)]


def _requeued(
    job: JobRow, live: LiveJob, state: JobState, attempts: Sequence[Attempt], updates: list[JobUpdate]
) -> JobRow:
    """Tell that Slurm starts the job again; and why, once accounting knows how the last attempt ended."""
    is_new = live.restarts > 0 if job.slurm_submit_time is None else live.submit_time > job.slurm_submit_time
    without_reason = requeue_message(None, live.slurm_id)
    if is_paused(live.reason):
        return job  # told as a suspension; a virtual machine goes on where it was
    if job.state is JobState.CANCELING or not (is_new or job.message == without_reason):
        return job
    ended = [attempt for attempt in attempts if attempt.end_time and attempt.submit_time < live.submit_time]
    message = requeue_message(ended[-1] if ended else None, live.slurm_id)
    if message == job.message:
        return job
    # Also where the next attempt runs already: Core sets the start of a job by its RUNNING.
    back = JobState.IN_QUEUE if job.state is not JobState.IN_QUEUE and is_new else None
    updates.append(JobUpdate(state=back, status=message))
    return replace(job, state=back or job.state, message=message, waiting_reason=None)


def _alive(job: JobRow, live: LiveJob, state: JobState, updates: list[JobUpdate], now: int) -> JobRow:
    before, current = job, job.state
    if state is JobState.IN_QUEUE and is_held(live.reason):
        state = JobState.SUSPENDED
    # A job that was submitted without UCloud is left to its owner: a reason may clear when limits change.
    stuck = state is JobState.IN_QUEUE and live.reason in STUCK_REASONS and not job.is_outside
    job = replace(
        job,
        slurm_submit_time=live.submit_time,
        slurm_state=live.state,
        slurm_reason=live.reason or None,
        node_list=live.node_list or None,
        time_limit_seconds=job.time_limit_seconds or live.time_limit_seconds or None,
        stuck_ticks=job.stuck_ticks + 1 if stuck else 0,
    )
    if job.stuck_ticks >= STUCK_TICKS and job.wished_state is None:
        why = STUCK_REASONS[live.reason]
        return replace(
            job,
            wished_state=JobState.FAILURE,
            wished_message=f"The job can never start: {why} ({live.reason}, Slurm job {live.slurm_id})",
        )
    if current is state is JobState.IN_QUEUE and job.wished_state is None and not stuck:
        job, waiting = tell_waiting(before, job, live, now)
        updates += [JobUpdate(status=waiting)] if waiting else []
    if current is JobState.CANCELING or not may_follow(current, state):
        return job
    if state is JobState.RUNNING and job.started_at is None:
        job = replace(job, started_at=live.start_time or None)
    message = live_message(current, state, by_admin=live.reason == "JobHeldAdmin")
    updates.append(JobUpdate(state=state, status=message))
    return replace(job, state=state, message=message, waiting_reason=None)


def _end(look: Look, era: Era) -> tuple[AccountingRecord, JobState] | None:
    """Return the record and state of the job's last attempt, if it has ended and Slurm has no newer one."""
    if not look.records:
        return None
    record = max(look.records, key=lambda record: record.submit_time)
    if look.live and look.live.submit_time > record.submit_time:
        return None
    if look.live and record.state == SlurmState.REQUEUED:
        record = _cancelled_in_requeue(record, look.live)
    state = ucloud_state(record.state, era)
    return (record, state) if state and state.is_final and record.end_time else None


def _cancelled_in_requeue(requeued: AccountingRecord, live: LiveJob) -> AccountingRecord:
    """Return the record of a job that ended while Slurm put it back into the queue: Slurm has none."""
    record = AccountingRecord()
    record.CopyFrom(requeued)
    record.state, record.node_list = live.state, ""
    return record


def _ended(
    job: JobRow,
    record: AccountingRecord,
    state: JobState,
    live: LiveJob | None,
    updates: list[JobUpdate],
) -> JobRow:
    # A job cancelled while it waited gets a start time as well, but no nodes.
    ran = bool(record.node_list)
    started_at = job.started_at or (record.start_time if ran else None)
    if job.state is JobState.IN_QUEUE and ran:
        # It ran between two looks: Core sets the start of a job by its RUNNING.
        updates.append(JobUpdate(state=JobState.RUNNING, status=live_message(job.state, JobState.RUNNING)))
    message = end_message(record, job)
    if record.state == "CANCELLED" and job.wished_state is not None:
        state, message = job.wished_state, job.wished_message or message
    again = job.allow_restart
    if again is not None:
        again = job.wished_state is None and not ends_for_good(record.state)
    updates.append(JobUpdate(state=state, status=message, allowRestart=again))
    return replace(
        job,
        state=state,
        message=message,
        allow_restart=again,
        slurm_state=record.state,
        slurm_reason=None,
        # slurmdbd may name only the first node until it has heard of the start as well.
        node_list=(live.node_list if live else "") or job.node_list or record.node_list or None,
        started_at=started_at,
        ended_at=record.end_time,
    )


def _missing(
    job: JobRow, after: JobRow, look: Look, rules: Rules, now: int, updates: list[JobUpdate]
) -> JobRow:
    """Say that a job is gone, once complete answers have left it out for long enough.

    A job that accounting still shows as alive is only given up after a longer time: slurmdbd may
    have its end in a backlog.
    """
    if look.records is None:
        return replace(after, missing_since=job.missing_since)
    since = job.missing_since or now
    patience = rules.lost_after_seconds if look.records else rules.absence_grace_seconds
    if now - since < patience:
        return replace(after, missing_since=since)
    message = f"Slurm no longer has the job (Slurm job {job.slurm_id}); it may have been lost in a failure"
    again = after.allow_restart
    if again is not None:
        again = after.wished_state is None
    state = JobState.FAILURE
    if after.wished_state is not None:
        state, message = after.wished_state, after.wished_message or message
    updates.append(JobUpdate(state=state, status=message, allowRestart=again))
    return replace(
        after, state=state, message=message, allow_restart=again, ended_at=now, missing_since=since
    )
