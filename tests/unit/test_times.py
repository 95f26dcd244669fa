"""Slurm's spellings of durations and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.slurm.command import number
from slurm_provider.slurm.times import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("05:00", 300),
        ("5:00", 300),
        ("01:00:00", 3600),
        ("1-00:00:00", 86400),
        ("2-03", 2 * 86400 + 3 * 3600),
        ("2-03:04", 2 * 86400 + 3 * 3600 + 240),
        ("10-00:00:01", 864001),
        ("UNLIMITED", 0),
        ("Partition_Limit", 0),
        ("INVALID", 0),
        ("NONE", 0),
        ("", 0),
    ],
)
def test_a_time_limit_is_read_as_sbatch_reads_it(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@given(st.integers(0, 10**9))
def test_a_duration_comes_back_as_it_went(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(59, "0-00:00:59"), (3600, "0-01:00:00"), (90061, "1-01:01:01")]
)
def test_a_duration_is_written_in_full(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "epoch"),
    [("1795307838", 1795307838), ("Unknown", 0), ("None", 0), ("N/A", 0), ("", 0), ("0", 0)],
)
def test_a_number_that_is_not_known_is_nought(text: str, epoch: int) -> None:
    assert number(text) == epoch
