"""What a job owes: the same charges, whoever computes them and however often."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_provider.jobmap import Charge
from slurm_provider.tracker.charges import UNIT_SECONDS, due, grid_units, units_used
from tests.unit.builders import STARTED_AT, job

UNITS = st.sampled_from([60, 3600, 86400])
GRIDS = st.sampled_from([1, 2, 7, 15])
ELAPSED = st.lists(st.integers(0, 5000), min_size=1, max_size=20)


@dataclass
class Core:
    """Core as it takes charges: by their ids, each once."""

    taken: dict[str, Charge] = field(default_factory=dict)

    def take(self, charges: list[Charge]) -> None:
        for charge in charges:
            assert self.taken.setdefault(charge.charge_id, charge) == charge

    @property
    def units(self) -> int:
        return sum(charge.units for charge in self.taken.values())


@given(UNITS, GRIDS, ELAPSED, st.data())
def test_each_started_unit_is_charged_once_however_often_the_ledger_is_lost(
    unit: int, grid: int, steps: list[int], data: st.DataObject
) -> None:
    core, charged, elapsed = Core(), 0, 0
    for index, step in enumerate(steps):
        elapsed += step * unit // 60
        ended = index == len(steps) - 1
        if data.draw(st.booleans(), label="the ledger is lost"):
            charged = 0
        row = job(unit_seconds=unit, grid_units=grid, charged_units=charged)
        charges = due("example", row, elapsed, ended=ended)
        core.take(charges)
        charged = charges[-1].to_unit if charges else charged
        if not ended:
            assert core.units <= elapsed // unit
            assert elapsed // unit - core.units < grid
    assert core.units == -(-elapsed // unit)
    cells = sorted((charge.from_unit, charge.to_unit) for charge in core.taken.values())
    assert [start for start, _ in cells] == [0, *(end for _, end in cells)][: len(cells)]


@given(UNITS, GRIDS, st.integers(0, 10**6), st.booleans())
def test_what_was_charged_is_not_due_again(unit: int, grid: int, elapsed: int, ended: bool) -> None:
    charges = due("example", job(unit_seconds=unit, grid_units=grid), elapsed, ended=ended)
    charged = charges[-1].to_unit if charges else 0
    row = job(unit_seconds=unit, grid_units=grid, charged_units=charged)
    assert due("example", row, elapsed, ended=ended) == []


@pytest.mark.parametrize(
    ("elapsed", "ended", "charges"),
    [
        (0, False, []),
        (0, True, []),
        (899, False, []),
        (900, False, [("example-54112-0-15", 15)]),
        (1830, False, [("example-54112-0-15", 15), ("example-54112-15-30", 15)]),
        (1830, True, [("example-54112-0-15", 15), ("example-54112-15-30", 15), ("example-54112-30-31", 1)]),
        (1800, True, [("example-54112-0-15", 15), ("example-54112-15-30", 15)]),
        (1, True, [("example-54112-0-1", 1)]),
        (60, True, [("example-54112-0-1", 1)]),
    ],
)
def test_minutes_are_charged_by_the_quarter_and_the_rest_at_the_end(
    elapsed: int, ended: bool, charges: list[tuple[str, int]]
) -> None:
    found = due("example", job(), elapsed, ended=ended)
    assert [(charge.charge_id, charge.units) for charge in found] == charges


def test_the_replicas_are_the_periods() -> None:
    assert [charge.periods for charge in due("example", job(replicas=3), 60, ended=True)] == [3]


@pytest.mark.parametrize("grid", [1, 15])
@pytest.mark.parametrize(
    ("elapsed", "ended"), [(0, False), (5, False), (10**6, False), (5, True), (10**6, True)]
)
def test_a_product_paid_once_owes_one_unit_from_the_start(grid: int, elapsed: int, ended: bool) -> None:
    started = job(unit_seconds=0, grid_units=grid, started_at=STARTED_AT)
    charges = due("example", started, elapsed, ended=ended)
    assert [(charge.charge_id, charge.units) for charge in charges] == [("example-54112-0-1", 1)]
    assert due("example", replace(started, charged_units=1), elapsed, ended=ended) == []


@pytest.mark.parametrize("unit", [0, 60, 3600, 86400])
def test_a_job_that_never_started_owes_nothing(unit: int) -> None:
    assert due("example", job(unit_seconds=unit), 0, ended=True) == []


@pytest.mark.parametrize(("unit", "grid"), [("MINUTE", 15), ("HOUR", 1), ("DAY", 1)])
@pytest.mark.parametrize("paid_in", ["CREDITS", "UNITS"])
def test_the_grid_goes_with_the_unit(paid_in: str, unit: str, grid: int) -> None:
    assert grid_units(UNIT_SECONDS[f"{paid_in}_PER_{unit}"]) == grid


@pytest.mark.parametrize(
    ("elapsed", "unit", "alive", "at_the_end"),
    [(59, 60, 0, 1), (60, 60, 1, 1), (61, 60, 1, 2), (3600, 86400, 0, 1)],
)
def test_a_started_unit_counts_at_the_end_only(elapsed: int, unit: int, alive: int, at_the_end: int) -> None:
    assert units_used(elapsed, unit, ended=False) == alive
    assert units_used(elapsed, unit, ended=True) == at_the_end
