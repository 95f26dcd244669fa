"""Terminals in running jobs and in folders, over the WebSocket that UCloud's pages open."""

import hashlib

from tests.support.jobs import job
from tests.support.shells import running, session_with, terminal
from tests.support.stack import Stack


async def test_a_shell_on_rank_1_sees_that_ranks_own_files_and_the_jobs_folder(stack: Stack) -> None:
    made = await running(stack, job("sleep 600", replicas=2))
    async with terminal(stack, await session_with(stack, made, rank=1)) as shell:
        await shell.run("echo r $(cat /etc/ucloud/rank.txt), $UCLOUD_RANK of $UCLOUD_NODES", "r 1, 1 of 2")
        await shell.run("pwd", "/work")
        await shell.run("ls", "stdout-1.log")
        await shell.run("echo $SLURMD_NODENAME", "n")
        await shell.type("exit\r")
        assert await shell.ended() == 1000
        assert "The shell has ended." in shell.seen


async def test_keys_colours_and_sizes_reach_the_program(stack: Stack) -> None:
    made = await running(stack, job("sleep 600"))
    async with terminal(stack, await session_with(stack, made), columns=100, rows=30) as shell:
        await shell.run("echo $TERM; tput colors; stty size", "256\r\n30 100")
        stream = await shell.send(type="resize", cols=132, rows=43)
        await shell.until(lambda: any(frame.get("streamId") == stream for frame in shell.frames))
        assert {"type": "response", "status": 200, "streamId": stream, "payload": {"type": "ack"}} in (
            shell.frames
        )
        await shell.run("until stty size | grep 43; do :; done", "43 132")
        await shell.run("echo on; sleep 300; echo off-$((1 + 1))", "on\r\n")
        await shell.type("\x03")
        await shell.run("echo after-$((40 + 2))", "after-42")
        assert "off-2" not in shell.seen


async def test_text_is_not_torn_where_its_bytes_are(stack: Stack) -> None:
    made = await running(stack, job("sleep 600"))
    torn = r"printf '\xf0\x9f'; sleep 0.3; printf '\x98\x80'"
    async with terminal(stack, await session_with(stack, made)) as shell:
        many = "for i in $(seq 20000); do printf 'æ€😀'; done"
        await shell.type(f"stty -echo; echo begin; {many}; {torn}; echo end\r")
        await shell.sees("😀end\r\n")
        assert shell.seen.split("begin\r\n")[1].startswith("æ€😀" * 20000 + "😀end\r\n")
        await shell.run("printf 'x%s' 'ø€😀' | od -An -tx1", "78 c3 b8 e2 82 ac f0 9f 98 80")


async def test_a_megabyte_that_is_pasted_arrives_as_it_is(stack: Stack) -> None:
    made = await running(stack, job("sleep 600"))
    text = "".join(f"{number:09}".rjust(63, "x") + "\n" for number in range(16384))
    async with terminal(stack, await session_with(stack, made)) as shell:
        await shell.run(f"stty -echo; echo begin; head -c {len(text)} | md5sum", "begin\r\n")
        await shell.type(text)
        await shell.sees("  -\r\n")
        assert hashlib.md5(text.encode()).hexdigest() in shell.seen
