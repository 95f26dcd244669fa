"""The sidecar's side of its user agents: started on demand, kept while in use, ended when idle."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
from google.protobuf.message import DecodeError

from slurm_provider.rpc.handed import AgentSocket, agent_pair
from slurm_provider.rpc.v1.agent_pb2 import (
    AgentRequest,
    AgentResponse,
    AgentStreamRequest,
    SpawnRequest,
    SpawnResponse,
)
from slurm_provider.sidecar.framing import read_message, write_message
from slurm_provider.sidecar.spawner import PACKET_BYTES

log = structlog.get_logger()

Sockets = tuple[socket.socket, socket.socket]
"""Our ends of an agent's sockets: that of calls, that of streams."""

SPAWN_TIMEOUT_SECONDS = 30.0


class AgentRefused(Exception):
    """A local user who may not have an agent; the text says why."""


class AgentGone(Exception):
    """The agent ended before it answered, so nothing is known of the call's effect."""


class SpawnerGone(Exception):
    """The spawner does not answer: the sidecar must be started anew."""


class Agent:
    """One local user's agent and the calls that it has not answered yet."""

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: socket.socket
    ) -> None:
        self.pid = pid
        self.last_used = time.monotonic()
        self._writer = writer
        self._door = door
        self._door.setblocking(False)
        self._streams: set[socket.socket] = set()
        self._kept_until = 0.0
        self._waiting: dict[int, asyncio.Future[AgentResponse]] = {}
        self._sequence = 0
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def gone(self) -> bool:
        """Whether the agent has ended."""
        return self._reading.done()

    @property
    def busy(self) -> bool:
        """Whether a call waits for its answer, a stream is open, or what one has left goes on."""
        return bool(self._waiting or self._streams) or time.monotonic() < self._kept_until

    @contextmanager
    def stream(self, request: AgentStreamRequest, keep_seconds: float = 0) -> Iterator[socket.socket]:
        """Open a stream and give our end of it, which does not block; raise AgentGone when that fails.

        What the agent does for it goes on for `keep_seconds` after its end.
        """
        ours, theirs = agent_pair()
        self._streams.add(ours)
        try:
            with ours:
                ours.setblocking(False)
                self._hand_over(theirs, request)
                yield ours
        finally:
            self._streams.discard(ours)
            self.last_used = time.monotonic()
            self._kept_until = max(self._kept_until, self.last_used + keep_seconds)

    def end_streams(self) -> None:
        """End all streams, as if the agent had ended them."""
        for connection in self._streams:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _hand_over(self, connection: socket.socket, request: AgentStreamRequest) -> None:
        with connection:
            try:
                socket.send_fds(self._door, [request.SerializeToString()], [connection.fileno()])
            except OSError as error:
                raise AgentGone(f"the user's agent takes no streams: {error}") from error

    async def call(self, request: AgentRequest) -> AgentResponse:
        """Return the agent's answer; raise AgentGone when it ends first."""
        self._sequence += 1
        self.last_used = time.monotonic()
        request.sequence = self._sequence
        answer: asyncio.Future[AgentResponse] = asyncio.get_running_loop().create_future()
        self._waiting[request.sequence] = answer
        try:
            if self.gone:
                raise AgentGone("the user's agent has ended")
            write_message(self._writer, request)
            with suppress(ConnectionError):  # the reader sees the end as well, and says so
                await self._writer.drain()
            return await answer
        finally:
            del self._waiting[request.sequence]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand answers to the calls that wait for them, until the agent ends or talks nonsense.

        The agent runs as its user, who can make it say anything: it is believed about that user's
        calls alone.
        """
        try:
            while response := await read_message(reader, AgentResponse):
                answer = self._waiting.get(response.sequence)
                if answer and not answer.done():
                    answer.set_result(response)
        except (DecodeError, ValueError, OSError) as error:
            log.warning("agent not understood", pid=self.pid, reason=str(error))
        finally:
            self._writer.close()
            self._door.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(AgentGone("the user's agent ended before it answered"))

    async def close(self) -> None:
        """End the agent by closing its socket; what it has not read is lost, for it may never read again."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await self._reading


class Agents:
    """The agents in use, by local user."""

    def __init__(self, spawner: socket.socket, idle_seconds: float) -> None:
        spawner.settimeout(SPAWN_TIMEOUT_SECONDS)
        self._spawner = spawner
        self._idle_seconds = idle_seconds
        self._agents: dict[str, Agent] = {}
        self._starts: dict[str, asyncio.Task[Agent]] = {}
        self._spawning = asyncio.Lock()
        self._sequence = 0
        self.spawner_gone = asyncio.Event()
        """Set when the spawner no longer answers: nothing can be done for new users then."""

    async def call(self, local_user: str, request: AgentRequest) -> AgentResponse:
        """Return the answer of the user's agent, started if there is none.

        Raises AgentRefused, AgentGone or SpawnerGone.
        """
        return await (await self._agent(local_user)).call(request)

    @asynccontextmanager
    async def stream(
        self, local_user: str, request: AgentStreamRequest, keep_seconds: float = 0
    ) -> AsyncIterator[socket.socket]:
        """Open a stream to the user's agent, started if there is none; give our end of its socket.

        The agent is not ended as idle for `keep_seconds` after the stream. Raises AgentRefused,
        AgentGone or SpawnerGone.
        """
        agent = await self._agent(local_user)
        with agent.stream(request, keep_seconds) as connection:
            yield connection

    def runs(self, local_user: str) -> bool:
        """Say whether the user has an agent now."""
        agent = self._agents.get(local_user)
        return agent is not None and not agent.gone

    async def _agent(self, local_user: str) -> Agent:
        agent = self._agents.get(local_user)
        if agent is None or agent.gone:
            # A caller may go away while the agent starts: the start goes on, for the spawner's answer
            # must be read by whoever asked for it.
            start = self._starts.get(local_user)
            if start is None:
                start = self._starts[local_user] = asyncio.create_task(self._start(local_user))
                start.add_done_callback(lambda _: self._starts.pop(local_user, None))
            agent = await asyncio.shield(start)
        agent.last_used = time.monotonic()
        return agent

    async def _start(self, local_user: str) -> Agent:
        async with self._spawning:
            self._sequence += 1
            request = SpawnRequest(local_user=local_user, sequence=self._sequence)
            try:
                response, sockets = await asyncio.to_thread(self._spawn, request)
            except SpawnerGone:
                self.spawner_gone.set()
                raise
        if sockets is None:
            log.warning("agent refused", local_user=local_user, reason=response.refusal)
            raise AgentRefused(response.refusal)
        log.info("agent started", local_user=local_user, pid=response.pid)
        calls, door = sockets
        reader, writer = await asyncio.open_unix_connection(sock=calls)
        agent = self._agents[local_user] = Agent(response.pid, reader, writer, door)
        return agent

    def _spawn(self, request: SpawnRequest) -> tuple[SpawnResponse, Sockets | None]:
        """Ask the spawner, and believe only the answer to this very question.

        After a time-out the next answer would be another user's agent, so there is no going on.
        """
        if self.spawner_gone.is_set():
            raise SpawnerGone("the spawner does not answer")
        try:
            self._spawner.send(request.SerializeToString())
            packet, descriptors, _, _ = socket.recv_fds(self._spawner, PACKET_BYTES, 2)
        except OSError as error:
            raise SpawnerGone(f"the spawner does not answer: {error}") from error
        received = [AgentSocket(fileno=descriptor) for descriptor in descriptors]
        response = SpawnResponse.FromString(packet)
        if (response.local_user, response.sequence) != (request.local_user, request.sequence):
            raise SpawnerGone("the spawner has ended, or answers another question")
        return response, (received[0], received[1]) if received else None

    async def end_idle(self) -> None:
        """End agents that have had nothing to do for a while; runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._idle_seconds / 4)
            limit = time.monotonic() - self._idle_seconds
            for name, agent in list(self._agents.items()):
                if self._agents.get(name) is not agent:  # another has been started meanwhile
                    continue
                if agent.gone or (agent.last_used < limit and not agent.busy):
                    del self._agents[name]
                    await agent.close()
                    log.info("agent ended", local_user=name, pid=agent.pid)

    def end_streams(self) -> None:
        """End what goes on for as long as somebody looks, and would never end by itself."""
        for agent in self._agents.values():
            agent.end_streams()

    async def close(self) -> None:
        """End all agents."""
        for agent in list(self._agents.values()):
            await agent.close()
