"""Where a rank runs: Slurm is asked once for many requests, also when it does not know."""

import asyncio
from typing import Any, cast

import pytest

from slurm_provider.sidecar import replicas
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.replicas import Replicas
from slurm_provider.slurm.command import SlurmUnavailable


class DeadSlurm:
    """Runs commands that are never answered."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, _command: Any, _runs: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        raise SlurmUnavailable("no answer in time")


async def test_many_requests_ask_a_slurm_that_does_not_answer_once() -> None:
    found, slurm = Replicas(), DeadSlurm()
    runner = cast(Runner, slurm)
    answers = await asyncio.gather(*(found.find(7, 0, runner) for _ in range(30)), return_exceptions=True)
    assert all(isinstance(answer, SlurmUnavailable) for answer in answers)
    assert slurm.asked == 1


async def test_slurm_is_asked_again_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "FAILURE_KEPT_SECONDS", 0)
    found, slurm = Replicas(), DeadSlurm()
    for asked in (1, 2):
        with pytest.raises(SlurmUnavailable):
            await found.find(7, 0, cast(Runner, slurm))
        assert slurm.asked == asked
