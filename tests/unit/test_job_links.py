"""Links that the job map does not have: what Core says of them, and what a job found again gets back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slurm_provider.config import load_facade
from slurm_provider.core import CoreClient
from slurm_provider.jobmap import Door, JobChange, JobMap, LinkUse
from slurm_provider.launch.errors import LaunchError
from slurm_provider.tracker.links import JobLinks
from slurm_provider.ucloud.jobs import Job, JobState
from tests.support.tiny_core import Reply, TinyCore, tiny_core
from tests.unit.builders import CONFIG, config_file, job
from tests.unit.ingresses import MORE, link, web_job


@dataclass(frozen=True)
class Case:
    """Links over a job map, with a Core that gives any answer."""

    core: TinyCore
    jobmap: Door
    links: JobLinks

    async def wished(self, made: dict[str, Any]) -> list[LinkUse]:
        """What a new job is given."""
        return await self.links.wished(Job.model_validate(made))

    async def left(self, made: dict[str, Any]) -> list[LinkUse]:
        """What a job that was found in Slurm is given."""
        return await self.links.left(Job.model_validate(made))


@pytest_asyncio.fixture(loop_scope="session")
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    async with tiny_core() as core:
        config = load_facade(config_file(tmp_path, CONFIG.replace("http://core.example", core.url) + MORE))
        jobmap = await Door.open(tmp_path / "jobs.db", lambda: 10_000)
        async with CoreClient(config.core) as client:
            yield Case(core, jobmap, JobLinks(config, jobmap, client))
        await jobmap.close()


async def test_a_lost_link_is_kept_as_core_has_it(case: Case) -> None:
    case.core.reply = lambda _path, _body: Reply(200, link("41231"))
    assert await case.wished(web_job("1", "41231")) == [LinkUse("41231")]
    calls = len(case.core.calls)
    assert await case.wished(web_job("2", "41231")) == [LinkUse("41231")]
    assert len(case.core.calls) == calls


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(404, {"why": "Not found", "errorCode": None}), "it is not one of yours"),
        (Reply(200, link("41231", owner={"createdBy": "other", "project": None})), "it is not one of yours"),
        (Reply(200, link("41231", "elsewhere.example.org")), "it is not one of yours"),
        (Reply(502, {"why": "Bad Gateway"}), "UCloud does not say whose it is; try again later"),
    ],
)
async def test_a_lost_link_that_is_not_the_users_is_refused(case: Case, reply: Reply, why: str) -> None:
    case.core.reply = lambda _path, _body: reply
    with pytest.raises(LaunchError, match=why):
        await case.wished(web_job("1", "41231"))


async def test_a_job_found_again_gets_back_what_nobody_else_holds(case: Case) -> None:
    replies = iter([link("1", "app-first.example.com"), link("2", "app-second.example.com")])
    case.core.reply = lambda _path, _body: Reply(200, next(replies))
    both = [LinkUse("1"), LinkUse("2")]
    assert await case.left(web_job("54112", "1", "2")) == both
    holder = job(job_id="7", state=JobState.RUNNING)
    await case.jobmap.call(JobMap.add_jobs, [(holder, JobChange("7", links=[LinkUse("1")]))])
    assert await case.left(web_job("54112", "1", "2")) == [LinkUse("2")]


async def test_a_job_found_again_is_taken_without_its_links_when_core_is_away(case: Case) -> None:
    case.core.reply = lambda _path, _body: Reply(502, {"why": "Bad Gateway"})
    assert await case.left(web_job("54112", "1", "2")) == []
    odd = web_job("54112", "1")
    odd["specification"]["resources"][0]["port"] = 70_000
    assert await case.left(odd) == []
