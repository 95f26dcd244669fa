"""Slurm's spellings of durations and times."""

import re

_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")


def parse_duration(text: str) -> int:
    """Return the seconds of a time limit such as `1-12:00:00`, `05:00` or `30` (minutes); 0 for no limit.

    The forms are those of sbatch(1), option --time. Empty, UNLIMITED, INVALID, NONE and the like
    have no digits and mean "no limit".
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return 0
    parts = [int(part) for part in match["clock"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return ((int(match["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(parts) == 3:
        return (parts[0] * 60 + parts[1]) * 60 + parts[2]
    minutes, seconds = (*parts, 0)[:2]
    return minutes * 60 + seconds


def format_duration(seconds: int) -> str:
    """Return whole seconds in the form `D-HH:MM:SS` that every Slurm command understands."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}-{hour:02}:{minute:02}:{second:02}"
