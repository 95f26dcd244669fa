"""`follow`: what jobs print reaches Core, all of it and in order, in both eras, whatever happens."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.cluster.conftest import fresh_folder
from tests.support.crowd import Crowd, printing_job
from tests.support.follow import FollowClient, seeds_core, todays_core
from tests.support.jobs import bulk, job
from tests.support.slurm import Slurm
from tests.support.stack import Stack, running_stack
from tests.support.usage import usage

UNTIL_GO = "while [ ! -e go ]; do sleep 0.2; done"


async def created(stack: Stack, script: str, **how: Any) -> Any:
    made = job(script, **how)
    reply = await stack.core.create(bulk(made))
    assert reply["status"] == 200, reply
    return made


async def running(stack: Stack, script: str, **how: Any) -> Any:
    made = await created(stack, script, **how)
    await stack.core.wait_update(made["id"], state="RUNNING", timeout=60)
    return made


def file(stack: Stack, made: Any, name: str = "stdout-0.log") -> Path:
    return stack.job_folder("alice", made["id"]) / name


async def go(stack: Stack, made: Any) -> None:
    """Let a job go on that waits for it."""
    file(stack, made, "go").touch()


async def whole(core: FollowClient, made: Any) -> dict[tuple[int, str], str]:
    """Follow a job to its end; return all that it printed."""
    followed = await core.until_end(await core.follow(made))
    assert followed.end is not None
    assert followed.end["status"] == 200
    return followed.printed


async def test_a_follow_shows_each_ranks_stdout_and_stderr_apart(stack: Stack) -> None:
    made = await created(stack, 'echo "out of $UCLOUD_RANK"; echo "err of $UCLOUD_RANK" >&2', replicas=3)
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        printed = await whole(core, made)
    words = {"stdout": "out", "stderr": "err"}
    assert printed == {(r, c): f"{word} of {r}\n" for r in range(3) for c, word in words.items()}


async def test_a_follow_of_todays_core_ends_with_its_connection(stack: Stack) -> None:
    made = await created(stack, "echo all")
    async with todays_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.until_end(await core.follow(made, "ignored"))
        await core.socket.wait_closed()
        assert core.socket.close_code == 1000
    assert followed.printed == {(0, "stdout"): "all\n"}


async def test_a_follow_that_is_opened_before_the_start_waits_for_it(stack: Stack, slurm: Slurm) -> None:
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        made = await created(stack, "echo started")
        await stack.core.wait_update(made["id"], status="Slurm job")
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await core.take()
            assert followed.frames[0]["payload"]["rank"] == -1
            slurm.run("scontrol", "update", "partitionname=main", "state=up")
            await core.until_end(followed)
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    assert followed.printed == {(0, "stdout"): "started\n"}


async def test_a_late_follow_shows_the_log_from_its_beginning_and_then_goes_on(stack: Stack) -> None:
    made = await running(stack, f"seq 300000; echo middle; {UNTIL_GO}; echo end")
    numbers = "".join(f"{n}\n" for n in range(1, 300001))
    token = await stack.core.core_token()
    async with seeds_core(stack.url, token) as core, seeds_core(stack.url, token) as other:
        early = await core.follow(made)
        await core.until_printed(early, "middle\n")
        late = await other.follow(made)
        await other.until_printed(late, "middle\n")
        await go(stack, made)
        for client, followed in ((core, early), (other, late)):
            await client.until_end(followed)
            assert followed.printed == {(0, "stdout"): f"{numbers}middle\nend\n"}


async def test_a_follow_of_a_finished_job_replays_its_log_and_ends(stack: Stack) -> None:
    made = await created(stack, "echo out; echo err >&2; exit 3")
    await stack.core.wait_update(made["id"], state="SUCCESS")
    async with todays_core(stack.url, await stack.core.core_token()) as core:
        assert await whole(core, made) == {(0, "stdout"): "out\n", (0, "stderr"): "err\n"}


async def test_a_follow_of_a_job_that_is_cancelled_in_the_queue_ends(stack: Stack, slurm: Slurm) -> None:
    slurm.run("scontrol", "update", "partitionname=main", "state=down")
    try:
        made = await created(stack, "true")
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await stack.core.call("jobs/terminate", bulk(made), user="user")
            await core.until_end(followed)
    finally:
        slurm.run("scontrol", "update", "partitionname=main", "state=up")
    assert followed.printed == {}


async def test_a_follow_misses_nothing_of_what_is_written_in_the_last_moment(stack: Stack) -> None:
    made = await running(stack, f"{UNTIL_GO}; seq 800000; echo last >&2")
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.follow(made)
        await go(stack, made)
        await core.until_end(followed)
    assert followed.text() == "".join(f"{n}\n" for n in range(1, 800001))  # 5 MB
    assert followed.text(channel="stderr") == "last\n"


async def test_several_follows_go_on_over_one_connection_and_each_can_be_cancelled(stack: Stack) -> None:
    one, two = [await running(stack, f"echo {n}; {UNTIL_GO}; echo end") for n in ("one", "two")]
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        first, second = await core.follow(one), await core.follow(two)
        await core.until_printed(first, "one\n")
        await core.until_printed(second, "two\n")
        cancelled = await core.cancel(first)
        for followed in (cancelled, first):
            await core.until_end(followed)
            assert followed.end is not None
            assert followed.end["status"] == 200
        for made in (one, two):
            await go(stack, made)
        await core.until_end(second)
    assert first.text() == "one\n"
    assert second.text() == "two\nend\n"


async def test_a_follow_survives_rotation_and_truncation_of_the_log(stack: Stack) -> None:
    script = f"""\
echo first; {UNTIL_GO}; rm go
mv stdout-0.log stdout-0.log.1; echo rest; exec >>stdout-0.log; echo second; {UNTIL_GO}; rm go
: >stdout-0.log; echo third"""
    made = await running(stack, script)
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.follow(made)
        for text in ("first\n", "second\n"):
            await core.until_printed(followed, text)
            await go(stack, made)
        await core.until_end(followed)
    assert followed.text() == "first\nrest\nsecond\nthird\n"


async def test_a_follow_drops_what_is_no_text_and_splits_no_character(stack: Stack) -> None:
    parts = (r"printf 'a\303'", r"printf '\246b\377c\360\237'", r"printf '\230\200'")
    made = await running(stack, f"; {UNTIL_GO}; rm go; ".join(parts))
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.follow(made)
        for text in ("a", "æbc"):
            await core.until_printed(followed, text)
            await go(stack, made)
        await core.until_end(followed)
    assert followed.text() == "aæbc😀"


async def test_a_follow_goes_on_with_what_a_requeued_job_prints(stack: Stack, slurm: Slurm) -> None:
    script = f'echo "start $SLURM_RESTART_COUNT"; {UNTIL_GO}; echo end'
    made = await running(stack, script, product="requeued")
    slurm_id = str(stack.overview(made["id"])["slurm_id"])
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.follow(made)
        await core.until_printed(followed, "start")
        slurm.run("scontrol", "requeue", slurm_id)
        await slurm.start_now(slurm_id)
        await core.until_printed(followed, "start 1\n", seconds=90)
        await go(stack, made)
        await core.until_end(followed)
    assert followed.text().splitlines()[1:] == ["start 1", "end"]


async def test_a_slow_follower_is_held_back_and_neither_the_job_nor_other_followers(stack: Stack) -> None:
    made = await running(stack, f"{UNTIL_GO}; head -c 30000000 /dev/zero | tr '\\0' x; echo end")
    token = await stack.core.core_token()
    before = usage(stack.facade.pid).memory_bytes
    async with seeds_core(stack.url, token, max_queue=1) as slow, seeds_core(stack.url, token) as quick:
        held_back = await slow.follow(made)
        await slow.take()
        followed = await quick.follow(made)
        await go(stack, made)
        await quick.until_end(followed)
        assert len(followed.text()) == 30_000_004
        assert usage(stack.facade.pid).memory_bytes - before < 40 << 20
        await slow.until_end(held_back)
        assert held_back.text() == followed.text()


async def test_a_new_follow_after_a_crash_of_the_facade_replays_everything() -> None:
    async with running_stack(fresh_folder("facade-crash")) as stack:
        made = await running(stack, f"echo before; {UNTIL_GO}; echo after")
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await core.until_printed(followed, "before\n")
            await stack.facade.kill()
            await core.socket.wait_closed()
        await stack.facade.start()
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await go(stack, made)
            await core.until_end(followed)
        assert followed.printed == {(0, "stdout"): "before\nafter\n"}


async def test_a_follow_goes_on_where_it_was_when_the_sidecar_is_back() -> None:
    async with running_stack(fresh_folder("sidecar-crash")) as stack:
        made = await running(stack, f"echo before; {UNTIL_GO}; echo after")
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await core.until_printed(followed, "before\n")
            await stack.sidecar.kill()
            await go(stack, made)
            await stack.sidecar.start()
            await core.until_end(followed)
        assert followed.printed == {(0, "stdout"): "before\nafter\n"}


async def test_both_programs_end_promptly_while_jobs_are_followed() -> None:
    async with running_stack(fresh_folder("ends")) as stack:
        made = await running(stack, "echo begun; sleep 600")
        async with seeds_core(stack.url, await stack.core.core_token()) as core:
            followed = await core.follow(made)
            await core.until_printed(followed, "begun\n")
            async with asyncio.timeout(10):  # which is less than calls in flight may take
                await stack.sidecar.stop()
                await stack.facade.stop()
                await core.socket.wait_closed()
            assert core.socket.close_code == 1012


async def test_a_crowd_of_followers_gets_every_byte_in_order(stack: Stack) -> None:
    jobs = [printing_job(20, 0.1, 200_000) for _ in range(10)]
    await stack.core.create(bulk(*jobs))
    for made in jobs:
        await stack.core.wait_update(made["id"], state="RUNNING", timeout=120)
    crowd = Crowd(stack.url, await stack.core.core_token(), jobs, 200)
    before = usage(stack.facade.pid)
    sidecar_before = usage(stack.sidecar.pid)
    try:
        await crowd.connect()
        for made in jobs:
            await go(stack, made)
        await crowd.until_end(120)
    finally:
        await crowd.close()
    assert usage(stack.facade.pid).memory_bytes - before.memory_bytes < 100 << 20
    async with asyncio.timeout(20):  # until connections and files are let go of
        while usage(stack.facade.pid).descriptors > before.descriptors + 20:
            await asyncio.sleep(0.1)
        while usage(stack.sidecar.pid).descriptors > sidecar_before.descriptors + 5:
            await asyncio.sleep(0.1)
    for job_id, heard in crowd.heard:
        assert heard.is_all_of(stack.job_folder("alice", job_id))


async def test_what_cannot_be_followed_is_refused_in_words(stack: Stack) -> None:
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.until_end(await core.follow({"id": "unknown"}))
    assert followed.end is not None
    assert followed.end["status"] == 400
    assert followed.end["payload"]["why"] == "this provider does not know the job"
    assert json.dumps(followed.end["payload"]).count("does not know the job") == 2
