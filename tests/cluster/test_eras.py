"""Every request and reply in the forms of both eras, kept as JSON in tests/data/eras."""

import asyncio
import json
import re
import time
from typing import Any

import pytest

from tests.cluster.test_calls import queue_status, support
from tests.support.jobs import DATA, job
from tests.support.stack import Stack

ERAS = ("seeds", "today")


def kept(name: str) -> Any:
    return json.loads((DATA / f"eras/{name}.json").read_text())


def with_job(value: Any, made: Any) -> Any:
    """Return a request with the job in the places that are marked for it."""
    match value:
        case "$job":
            return made
        case dict():
            return {name: with_job(inner, made) for name, inner in value.items()}
        case list():
            return [with_job(inner, made) for inner in value]
        case _:
            return value


def without_secrets(body: Any, job_id: str) -> Any:
    """Return an answer with marks in the place of what is new each time."""
    text = re.sub(r'"sessionIdentifier": "[\w-]{43,}"', '"sessionIdentifier": "$secret"', json.dumps(body))
    return json.loads(text.replace(json.dumps(job_id), '"$id"'))


async def runs_again(stack: Stack, job_id: str) -> None:
    """Wait until a job that was suspended is known to run."""
    async with asyncio.timeout(30):
        while stack.overview(job_id)["state"] != "RUNNING":
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("era", ERAS)
async def test_each_call_is_understood_and_answered_in_the_form_of_its_era(stack: Stack, era: str) -> None:
    made = kept(f"{era}.job")
    made["id"], made["createdAt"] = job("true")["id"], int(time.time() * 1000)
    await stack.core.add_jobs(made)
    for exchange in kept(f"{era}.calls"):
        call, user = exchange["call"], exchange["user"]
        if call in ("jobs/extend", "jobs/suspend"):
            await stack.core.wait_update(made["id"], state="RUNNING")
        if call == "jobs/unsuspend":
            await stack.core.wait_update(made["id"], state="SUSPENDED")
        if call == "jobs/interactiveSession":
            await runs_again(stack, made["id"])
        request = with_job(exchange["request"], made)
        reply = await stack.core.call(call, request, user=user, method=exchange["method"])
        found = reply["status"], without_secrets(reply["body"], made["id"])
        assert found == (exchange["status"], exchange["response"]), call
    await stack.core.wait_update(made["id"], state="SUCCESS")


@pytest.mark.parametrize("era", ERAS)
async def test_support_has_every_key_of_each_era(stack: Stack, era: str) -> None:
    await queue_status(stack, "AVAILABLE")
    assert_holds(await support(stack), kept(f"{era}.support"))


async def test_support_has_no_key_that_neither_era_knows(stack: Stack) -> None:
    known: set[tuple[str, ...]] = set().union(*(paths(kept(f"{era}.support")) for era in ERAS))
    # Each era's support knows `peers` and `web` in some blocks only.
    odd = ("peers", "web", "utilization")
    known |= {(block, key) for block in ("native", "virtualMachine") for key in odd}
    assert paths(await support(stack)) <= known


def paths(value: Any) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return {()}
    return {(name, *rest) for name, inner in value.items() for rest in paths(inner)}


def assert_holds(found: Any, wanted: Any, place: str = "") -> None:
    """Assert that all of what is wanted is there, whatever else is."""
    if isinstance(wanted, dict):
        for name, inner in wanted.items():
            assert name in found, f"{place}.{name}"
            assert_holds(found[name], inner, f"{place}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), place
        for number, inner in enumerate(wanted):
            assert_holds(found[number], inner, f"{place}.{number}")
    else:
        assert found == wanted, place
