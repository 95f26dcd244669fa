"""Where a rank runs: Slurm is asked once for many requests, also when it does not know."""

import asyncio
import os
import pwd
from typing import Any, cast

import pytest

from slurm_provider.rpc.v1.queue_pb2 import LiveJob
from slurm_provider.sidecar import replicas
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.replicas import NotRunning, Replicas
from slurm_provider.slurm.command import SlurmUnavailable
from slurm_provider.slurm.node_address import ScontrolShowHostnames
from slurm_provider.slurm.squeue import Squeue


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


class LivingSlurm:
    """Knows a job of one node."""

    async def run(self, command: Any, _runs: Any) -> Any:
        match command:
            case Squeue():
                own = pwd.getpwuid(os.getuid()).pw_name
                return [LiveJob(slurm_id=7, user=own, state="RUNNING", node_list="n1")]
            case ScontrolShowHostnames():
                return ["n1"]
            case _:
                return "192.0.2.1"


async def test_a_rank_that_a_job_does_not_have_hides_none_of_those_it_has() -> None:
    found, runner = Replicas(), cast(Runner, LivingSlurm())
    with pytest.raises(NotRunning, match="has no rank 1"):
        await found.find(7, 1, runner)
    assert (await found.find(7, 0, runner)).node == "n1"
