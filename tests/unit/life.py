"""A job that is looked at again and again: what Core was told of it, and what was charged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from slurm_provider.config import Era
from slurm_provider.jobmap import Attempt
from slurm_provider.rpc.v1.queue_pb2 import AccountingRecord, LiveJob
from slurm_provider.tracker.observation import Look, Rules, observe
from slurm_provider.ucloud.jobs import JobState
from tests.unit.builders import job

RULES = Rules("example", Era.SEEDS, absence_grace_seconds=30, lost_after_seconds=3600)


class Life:
    """Applies what each look changes to the row, as the job map would."""

    def __init__(self, rules: Rules = RULES, **changes: Any) -> None:
        self.job = job(**changes)
        self.told: list[JobState] = []
        self.messages: list[str] = []
        self.allowed: list[bool | None] = []
        """What each end said about starting the job again."""
        self.charged: list[str] = []
        self._rules = rules
        self._attempts: dict[int, Attempt] = {}

    def look(
        self, live: LiveJob | None, records: Sequence[AccountingRecord] | None = None, *, at: int = 0
    ) -> bool:
        """Look once at second `at`; say whether anything changed."""
        look = Look(live=live, records=records, attempts=list(self._attempts.values()))
        change = observe(self.job, look, self._rules, at)
        if change is None:
            return False
        columns: dict[str, Any] = dict(change.columns)
        self.job = replace(self.job, **columns)
        self._attempts |= {attempt.submit_time: attempt for attempt in change.attempts}
        self.told += [update.state for update in change.updates if update.state]
        self.messages += [update.status for update in change.updates if update.status]
        ends = [update for update in change.updates if update.state and update.state.is_final]
        self.allowed += [update.allowRestart for update in ends]
        self.charged += [charge.charge_id for charge in change.charges]
        return True
