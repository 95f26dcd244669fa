"""The product's two programs as processes of their own, under the users that a site would give them."""

import asyncio
import os
import pwd
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / ".venv/bin/slurm-provider"
START_SECONDS = 30
STOP_SECONDS = 15


class Program:
    """A daemon that can be stopped, killed and started again. Its output is appended to `log_path`."""

    def __init__(self, command: Sequence[str | Path], log_path: Path) -> None:
        self.command = [str(word) for word in command]
        self.log_path = log_path
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the program."""
        if self._process is None:
            raise RuntimeError(f"{self.command} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the program and wait until it says that it is ready, as systemd would."""
        with NotifySocket(self.log_path.with_suffix(".notify")) as notify, self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(notify.path)},
                cwd="/",
                start_new_session=True,
            )
            ready = asyncio.create_task(notify.ready())
            ended = asyncio.create_task(self._process.wait())
            done, _ = await asyncio.wait(
                {ready, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in (ready, ended):
                task.cancel()
            if ready not in done:
                raise RuntimeError(f"{self.command} did not start: {self.log_path.read_text()[-2000:]}")

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the program and wait until it has ended."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(number)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """End the program as a power cut would."""
        await self.stop(signal.SIGKILL)


class NotifySocket:
    """The receiving end of sd_notify(3)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        path.chmod(0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    async def ready(self) -> None:
        """Wait for READY=1."""
        while b"READY=1" not in await asyncio.get_running_loop().sock_recv(self._socket, 4096):
            continue


def as_user(user: str, *command: str | Path) -> list[str]:
    """Return the command line by which root runs a command as another user."""
    gid = pwd.getpwnam(user).pw_gid
    return ["setpriv", f"--reuid={user}", f"--regid={gid}", "--init-groups", "--", *map(str, command)]


def command_lines() -> list[bytes]:
    """Return the command lines of all processes, their words ended by zeros."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines.append(path.read_bytes())
    return lines
