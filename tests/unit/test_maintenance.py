"""Maintenance is shown from its announcement until its end, and NO_SERVICE takes no new jobs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slurm_provider.config import Availability, ConfigError, Maintenance, load_facade
from slurm_provider.facade.support import support_of
from slurm_provider.tracker.maintenance import announced, closed
from tests.unit.builders import CONFIG, config_file, facade_config

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def maintenance(
    begins: int, ends: int | None, availability: str = "NO_SERVICE", **changes: str
) -> Maintenance:
    return Maintenance(
        description=changes.pop("description", "new storage"),
        availability=Availability(availability),
        starts_at=NOW + begins * HOUR,
        ends_at=None if ends is None else NOW + ends * HOUR,
        **changes,
    )


PAST = maintenance(-3, -1)
NEXT = maintenance(2, 3)
LATER = maintenance(4, 5)
MINOR = maintenance(-1, 1, "MINOR_DISRUPTION")
MAJOR = maintenance(-1, 1, "MAJOR_DISRUPTION")
NO_SERVICE = maintenance(-1, 1)


@pytest.mark.parametrize(
    ("all_", "shown"),
    [
        ([], None),
        ([PAST], None),
        ([LATER, NEXT], NEXT),
        ([NEXT, MINOR], MINOR),
        ([MINOR, MAJOR, NO_SERVICE], NO_SERVICE),
        ([MINOR, MAJOR], MAJOR),
        ([maintenance(-1, 1, cluster="other"), maintenance(-1, 1, category="other")], None),
        ([maintenance(-9, None, cluster="hpc")], maintenance(-9, None, cluster="hpc")),
    ],
)
def test_the_worst_that_goes_on_is_shown_else_the_next(
    tmp_path: Path, all_: list[Maintenance], shown: Maintenance | None
) -> None:
    [product] = facade_config(tmp_path).products
    assert announced(all_, product, NOW) == shown


def test_no_service_refuses_new_jobs_in_words(tmp_path: Path) -> None:
    [product] = facade_config(tmp_path).products
    assert closed([NEXT, MINOR, MAJOR, PAST], product, NOW) is None
    words = "no new jobs are taken until 2026-12-01 13:00 UTC, because of a maintenance: new storage"
    assert closed([NO_SERVICE], product, NOW) == words
    assert "for now" in (closed([maintenance(-1, None)], product, NOW) or "")


TOML = """
[[maintenance]]
description = "new storage"
availability = "MAJOR_DISRUPTION"
starts_at = {starts}
ends_at = 2026-12-01T18:00:00+01:00
"""


def test_a_maintenance_in_the_configuration_is_declared_in_milliseconds(tmp_path: Path) -> None:
    config = load_facade(config_file(tmp_path, CONFIG + TOML.format(starts="2026-12-01T08:00:00+01:00")))
    declared = support_of(config.products[0], config, NOW, None).maintenance
    assert declared is not None
    assert declared.model_dump() == {
        "description": "new storage",
        "availability": "MAJOR_DISRUPTION",
        "startsAt": 1_796_108_400_000,
        "estimatedEndsAt": 1_796_144_400_000,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML.format(starts="2026-12-01T08:00:00"), r"starts_at: must be a date and time with its offset"),
        (TOML.format(starts='"tomorrow"'), r"starts_at: must be a date and time with its offset"),
        (TOML.format(starts="2026-12-01T19:00:00+01:00"), r"maintenance.0: ends_at must be later"),
        (TOML.format(starts="2026-12-01T08:00:00Z") + 'cluster = "x"', r"maintenance.0.cluster: there is no"),
        (TOML.format(starts="2026-12-01T08:00:00Z").replace("MAJOR_", ""), r"availability: .*NO_SERVICE"),
    ],
)
def test_a_mistake_in_a_maintenance_is_said_in_words(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_facade(config_file(tmp_path, CONFIG + text))
