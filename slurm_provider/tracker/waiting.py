"""What a user reads while a job waits: why, and when Slurm expects to start it."""

from dataclasses import replace
from datetime import UTC, datetime

from slurm_provider.jobmap import JobRow
from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.tracker.reasons import code, in_words

SHORTEST_PAUSE_SECONDS = 60
"""Between two messages about one job's waiting."""
SHORT_WAIT_SECONDS = 30
"""A reason is told sooner only with an estimate: many jobs start within that time."""
SMALL_SHIFT_SECONDS = 15 * 60
"""An estimate that moves by less, or by less than a quarter of the time to go, is not told again."""


def tell_waiting(before: JobRow, after: JobRow, live: LiveJob, now: int) -> tuple[JobRow, str | None]:
    """Return the job with what is noted of its waiting, and what its user is told now, if anything.

    A reason is told once it was seen at two looks in a row: Slurm's first one often holds for a second.
    """
    words = in_words(live.reason)
    name = code(live.reason)
    if words is None or code(before.slurm_reason or "") != name:
        return after, None
    start = live.start_time if live.start_time > now else None
    if start is None and now - live.submit_time < SHORT_WAIT_SECONDS:
        return after, None
    if before.waiting_reason == name and not _shifted(before.waiting_until, start, now):
        return after, None
    if before.waiting_told_at is not None and now - before.waiting_told_at < SHORTEST_PAUSE_SECONDS:
        return after, None
    after = replace(after, waiting_reason=name, waiting_until=start, waiting_told_at=now)
    return after, waiting_message(words, name, start)


def _shifted(told: int | None, start: int | None, now: int) -> bool:
    if start is None:
        return False
    return told is None or abs(start - told) > max(SMALL_SHIFT_SECONDS, (start - now) // 4)


def waiting_message(words: str, name: str, start: int | None) -> str:
    """Return e.g. `Waiting: other jobs are ahead in the queue (Priority); expected to start about …`."""
    text = f"Waiting: {words}" + ("" if words.startswith("Slurm says") else f" ({name})")
    if start is None:
        return text
    # Rounded up to the minute: Slurm knows no better.
    when = datetime.fromtimestamp(-(-start // 60) * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{text}; {'not before' if name == 'BeginTime' else 'expected to start about'} {when}"
