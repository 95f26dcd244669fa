"""`follow`: what jobs print reaches Core, all of it and in order, in both eras."""

from tests.support.follow import seeds_core, todays_core
from tests.support.jobs import bulk, job
from tests.support.stack import Stack


async def test_a_follow_shows_what_a_job_prints_and_ends_with_it(stack: Stack) -> None:
    made = job("echo first; echo wrong >&2; sleep 2; echo last")
    await stack.core.create(bulk(made))
    async with seeds_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.until_end(await core.follow(made))
    assert followed.printed == {(0, "stdout"): "first\nlast\n", (0, "stderr"): "wrong\n"}
    assert followed.end is not None
    assert followed.end["status"] == 200


async def test_a_follow_of_todays_core_ends_with_its_connection(stack: Stack) -> None:
    made = job("echo all")
    await stack.core.create(bulk(made))
    async with todays_core(stack.url, await stack.core.core_token()) as core:
        followed = await core.until_end(await core.follow(made, "ignored"))
        await core.socket.wait_closed()
        assert core.socket.close_code == 1000
    assert followed.printed == {(0, "stdout"): "all\n"}
