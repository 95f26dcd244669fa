"""A local user's agent: runs as that user, without any capability, and does what is done for that user."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path

from slurm_provider.rpc.v1.access_pb2 import SetAuthorizedKeysRequest, SetAuthorizedKeysResponse
from slurm_provider.rpc.v1.agent_pb2 import AgentRequest, AgentResponse, CommandRun
from slurm_provider.rpc.v1.submission_pb2 import (
    CancelRequest,
    CancelResponse,
    Doubt,
    Refusal,
    SubmitRequest,
    SubmitResponse,
)
from slurm_provider.rpc.v1.tunnel_pb2 import ReadReplicaFileRequest, ReadReplicaFileResponse
from slurm_provider.sidecar.agent_streams import serve_streams
from slurm_provider.sidecar.authorized_keys import KeysRefused, set_keys
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.framing import read_message, write_message
from slurm_provider.sidecar.job_folder import FolderRefused, prepare
from slurm_provider.sidecar.own_user import check_user
from slurm_provider.sidecar.replica_files import read_replica_file
from slurm_provider.sidecar.shell_stream import close_shell
from slurm_provider.slurm.command import SlurmUnavailable
from slurm_provider.slurm.sbatch import InvalidDirective, Sbatch
from slurm_provider.slurm.scancel import Scancel

_PR_SET_DUMPABLE = 4  # prctl(2)


async def serve(calls: socket.socket, streams: socket.socket, runner: Runner) -> None:
    """Answer calls and serve streams, several at a time, until the sidecar closes the sockets."""
    reader, writer = await asyncio.open_unix_connection(sock=calls)
    serving = asyncio.create_task(serve_streams(streams, runner))
    async with asyncio.TaskGroup() as answers:
        while request := await read_message(reader, AgentRequest):
            answers.create_task(_answer(request, runner, writer))
    writer.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _answer(request: AgentRequest, runner: Runner, writer: asyncio.StreamWriter) -> None:
    response = AgentResponse(sequence=request.sequence)
    runs: list[CommandRun] = []
    try:
        match request.WhichOneof("call"):
            case "submit":
                check_user(request.submit.local_user)
                submitted = await submit(request.submit, request.start_before, runner, runs)
                response.submit.CopyFrom(submitted)
            case "cancel":
                check_user(request.cancel.local_user)
                response.cancel.CopyFrom(await cancel(request.cancel, runner, runs))
            case "set_authorized_keys":
                check_user(request.set_authorized_keys.local_user)
                installed = await set_authorized_keys(request.set_authorized_keys)
                response.set_authorized_keys.CopyFrom(installed)
            case "read_replica_file":
                check_user(request.read_replica_file.local_user)
                read = await read_file(request.read_replica_file)
                response.read_replica_file.CopyFrom(read)
            case "close_shell":
                check_user(request.close_shell.local_user)
                await close_shell(request.close_shell.key)
                response.close_shell.SetInParent()
            case other:
                response.failure = f"the agent does not know the call {other}"
    except SlurmUnavailable as error:
        response.failure = str(error)
    except Exception as error:  # one failing call must not end the user's other calls
        response.failure = f"{type(error).__name__}: {error}"
    response.commands.extend(runs)
    write_message(writer, response)
    await writer.drain()


async def submit(
    request: SubmitRequest, start_before: float, runner: Runner, runs: list[CommandRun]
) -> SubmitResponse:
    """Write the job's folder and submit its batch script; what fails before sbatch is a refusal.

    After `start_before` sbatch is not started any more: the caller may have looked for the job in
    vain and be about to submit it again.
    """
    try:
        folder, script = await asyncio.to_thread(prepare, request, Path.home())
    except (FolderRefused, InvalidDirective) as error:
        return SubmitResponse(refused=Refusal(reason=str(error)))
    except OSError as error:
        reason = f"the job's folder cannot be written: {error.strerror}: {error.filename}"
        return SubmitResponse(refused=Refusal(reason=reason))
    if time.monotonic() > start_before:
        return SubmitResponse(doubt=Doubt(reason="the job's folder could not be written in time"))
    return await runner.run(Sbatch(script=script, folder=str(folder)), runs)


async def cancel(request: CancelRequest, runner: Runner, runs: list[CommandRun]) -> CancelResponse:
    """Ask Slurm to end a job of this user."""
    await runner.run(Scancel(request.slurm_id), runs)
    return CancelResponse()


async def set_authorized_keys(request: SetAuthorizedKeysRequest) -> SetAuthorizedKeysResponse:
    """Keep a block of keys in this user's authorized_keys."""
    try:
        await asyncio.to_thread(set_keys, Path.home(), request.label, request.keys)
    except KeysRefused as error:
        return SetAuthorizedKeysResponse(refusal=str(error))
    except OSError as error:
        return SetAuthorizedKeysResponse(refusal=f"{error.filename or '~/.ssh'}: {error.strerror}")
    return SetAuthorizedKeysResponse()


async def read_file(request: ReadReplicaFileRequest) -> ReadReplicaFileResponse:
    """Read what a replica has written into one of its small files."""
    text = await asyncio.to_thread(
        read_replica_file, request.folder, request.control_folder, request.rank, request.name
    )
    return ReadReplicaFileResponse(text=text)


def be_private() -> None:
    """Let no other process of this user trace this one, or take its open files."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def main() -> None:
    """Serve on two sockets, that of calls and that of streams; the third argument is a command's time-out."""
    be_private()
    # Not ignored, or the programs in terminals would not hear Ctrl-C.
    signal.signal(signal.SIGINT, lambda *_: None)
    os.umask(0o027)
    runner = Runner(dict(os.environ), float(sys.argv[3]))
    with socket.socket(fileno=int(sys.argv[1])) as calls, socket.socket(fileno=int(sys.argv[2])) as streams:
        asyncio.run(serve(calls, streams, runner))


if __name__ == "__main__":
    main()
