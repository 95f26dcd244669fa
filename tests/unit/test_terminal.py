"""A terminal: a real pty with a real shell, what it shows, and what is left of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slurm_provider.sidecar.recent_output import RecentOutput
from slurm_provider.sidecar.terminal import RECENT_BYTES, Terminal

ENVIRONMENT = {"PATH": os.environ["PATH"], "PS1": "", "TERM": "xterm-256color"}
SHELL = ("env", "-u", "ENV", "/bin/sh", "-i")


@dataclass
class Screen:
    """A viewer that keeps all it is shown, and can be made to stop reading."""

    seen: bytes = b""
    ended: list[tuple[str, bool]] = field(default_factory=list)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False

    def __post_init__(self) -> None:
        self.reads.set()

    async def show(self, data: bytes) -> None:
        self.waits = not self.reads.is_set()
        await self.reads.wait()
        self.seen += data

    def end(self, reason: str, *, elsewhere: bool = False) -> None:
        self.ended.append((reason, elsewhere))


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def children() -> list[str]:
    """The processes that this one has started."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal with a shell that shows no prompt."""
    before = children()
    descriptors = set(Path("/proc/self/fd").iterdir())
    made = Terminal(SHELL, ENVIRONMENT, str(tmp_path), (80, 24))
    yield made
    await made.close("the test has ended")
    assert set(Path("/proc/self/fd").iterdir()) == descriptors
    assert children() == before  # not even a zombie is left


async def test_what_is_typed_runs_and_is_shown(terminal: Terminal) -> None:
    screen = Screen()
    assert terminal.attach(screen, (100, 30)) == b""
    await terminal.type(b"echo first\n")
    await until(lambda: b"first\r\n" in screen.seen)
    await terminal.type(b"stty size; echo $((6 * 7))\n")
    await until(lambda: b"30 100\r\n42\r\n" in screen.seen)
    terminal.resize((132, 43))
    await terminal.type(b"stty size\n")
    await until(lambda: b"43 132\r\n" in screen.seen)


async def test_ctrl_c_ends_the_program_and_not_the_shell(terminal: Terminal) -> None:
    screen = Screen()
    terminal.attach(screen, (80, 24))
    await terminal.type(b"echo on; sleep 100; echo off-$((1 + 1))\n")
    await until(lambda: b"\non\r\n" in screen.seen)
    await terminal.type(b"\x03")
    await terminal.type(b"echo $((6 * 7))\n")
    await until(lambda: b"42\r\n" in screen.seen)
    assert b"off-2" not in screen.seen


async def test_a_slow_viewer_holds_the_program_up_and_misses_nothing(
    terminal: Terminal, tmp_path: Path
) -> None:
    screen = Screen()
    terminal.attach(screen, (80, 24))
    screen.reads.clear()
    await terminal.type(b"stty -echo; seq 200000; touch printed\n")
    await until(lambda: screen.waits)
    assert not (tmp_path / "printed").exists()
    screen.reads.set()
    await until((tmp_path / "printed").exists)
    await until(lambda: b"\n200000\r\n" in screen.seen)
    assert b"".join(b"%d\r\n" % number for number in range(1, 200001)) in screen.seen


async def test_unseen_it_goes_on_and_its_recent_output_is_shown_again(
    terminal: Terminal, tmp_path: Path
) -> None:
    screen, later = Screen(), Screen()
    terminal.attach(screen, (80, 24))
    assert terminal.detach(screen)
    await terminal.type(b"seq 200000; touch printed\n")
    await until((tmp_path / "printed").exists)
    first = terminal.attach(later, (80, 24))
    assert first.startswith(b"\x1bc")
    await until(lambda: b"\n200000\r\n" in first + later.seen)
    assert len(first) < 2 * RECENT_BYTES
    assert b"\n100000\r\n" not in first
    assert not terminal.detach(screen)


async def test_another_viewer_takes_over_and_the_first_is_told(terminal: Terminal) -> None:
    first, second = Screen(), Screen()
    terminal.attach(first, (80, 24))
    first.reads.clear()  # even if it reads no more
    terminal.attach(second, (80, 24))
    assert [elsewhere for _, elsewhere in first.ended] == [True]
    await terminal.type(b"echo $((6 * 7))\n")
    first.reads.set()
    await until(lambda: b"42\r\n" in second.seen)


async def test_a_full_screen_program_draws_its_screen_again(terminal: Terminal) -> None:
    screen, later = Screen(), Screen()
    terminal.attach(screen, (80, 24))
    draw = rb"printf '\033[?1049h'; trap 'echo drawn $(stty size)' WINCH; while :; do sleep 0.05; done"
    await terminal.type(b'bash -c "' + draw.replace(b"$", b"\\$") + b'"\n')
    await until(lambda: b"\x1b[?1049h" in screen.seen)
    terminal.detach(screen)
    assert b"\x1b[?1049h" in terminal.attach(later, (80, 24))
    await until(lambda: b"drawn 24 80" in later.seen)


async def test_the_end_of_the_shell_is_told_after_its_last_words(terminal: Terminal) -> None:
    screen = Screen()
    terminal.attach(screen, (80, 24))
    await terminal.type(b"echo la''st; exit 3\n")
    await terminal.wait()
    assert b"last\r\n" in screen.seen
    assert screen.ended == [("The shell has ended with exit code 3.", False)]
    await terminal.type(b"too late")  # harms nobody
    terminal.resize((1, 1))


@pytest.mark.parametrize("exits", [True, False])
async def test_with_the_terminal_all_that_it_has_started_ends(
    terminal: Terminal, tmp_path: Path, exits: bool
) -> None:
    screen = Screen()
    terminal.attach(screen, (80, 24))
    stubborn = b"(trap '' HUP; echo $BASHPID >pid; while :; do sleep 1; done) &\n"
    await terminal.type(b"exec bash --norc -i\n" + stubborn)
    pid = tmp_path / "pid"
    await until(lambda: pid.exists() and pid.read_text().strip())
    await terminal.type(b"exit\nexit\n" if exits else b"")
    await (terminal.wait() if exits else terminal.close("closed"))
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


async def test_a_megabyte_is_typed_no_faster_than_it_is_read(terminal: Terminal, tmp_path: Path) -> None:
    terminal.attach(Screen(), (80, 24))
    text = b"".join(b"%063d\n" % number for number in range(16384))
    await terminal.type(b"stty -echo; until [ -e go ]; do sleep 0.01; done; head -c %d >copy\n" % len(text))
    typing = asyncio.create_task(terminal.type(text))
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(typing), 0.3)
    assert not typing.done()
    (tmp_path / "go").touch()
    await typing
    await until(lambda: (tmp_path / "copy").stat().st_size == len(text))
    assert (tmp_path / "copy").read_bytes() == text


def test_what_a_program_asked_the_terminal_is_not_asked_again() -> None:
    recent = RecentOutput(1000)
    recent.add(b"a\x1b[6n\x1b[cb\x1b]11;?\x07c\x1b[>0qd\x1bP+q544e\x1b\\e\x1b[?2026$pf\x05")
    assert recent.replay() == b"\x1bcabcdef"


def test_modes_outlive_the_output_that_set_them() -> None:
    recent = RecentOutput(100)
    recent.add(b"\x1b[?1;2004h\x1b[?25l\x1b[?1049h")
    assert recent.full_screen
    for number in range(100):
        recent.add(b"line %d\r\n" % number)
    assert recent.full_screen
    replay = recent.replay()
    assert replay.startswith(b"\x1bc\x1b[?1h\x1b[?2004h\x1b[?25l\x1b[?1049hline ")
    assert replay.endswith(b"line 99\r\n")
    recent.add(b"\x1b[?1049l")
    assert not recent.full_screen
    assert len(replay) < 200
