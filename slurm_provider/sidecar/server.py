"""The process that speaks gRPC. It holds no capability and touches no user's file."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from slurm_provider.config import Sidecar, load_sidecar
from slurm_provider.descriptors import allow_many_descriptors
from slurm_provider.logs import configure_logs
from slurm_provider.notify import notify_ready
from slurm_provider.rpc.endpoints import SERVER_OPTIONS, close_to_others, listen
from slurm_provider.rpc.v1 import (
    access_pb2,
    access_pb2_grpc,
    logs_pb2,
    logs_pb2_grpc,
    operation_pb2,
    operation_pb2_grpc,
    queue_pb2,
    queue_pb2_grpc,
    shape_pb2,
    shape_pb2_grpc,
    shell_pb2,
    shell_pb2_grpc,
    submission_pb2,
    submission_pb2_grpc,
    tunnel_pb2,
    tunnel_pb2_grpc,
)
from slurm_provider.sidecar.access import AccessService
from slurm_provider.sidecar.agents import Agents, SpawnerGone
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.logs import LogService
from slurm_provider.sidecar.relay import Relay
from slurm_provider.sidecar.services import OperationService, QueueService, SubmissionService
from slurm_provider.sidecar.shapes import ShapeService
from slurm_provider.sidecar.shells import ShellService
from slurm_provider.sidecar.tickets import Tickets
from slurm_provider.sidecar.tunnels import TunnelService
from slurm_provider.slurm.command import SlurmUnavailable
from slurm_provider.slurm.scontrol_config import ScontrolShowConfig

log = structlog.get_logger()

SERVICES = (
    access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name,
    submission_pb2.DESCRIPTOR.services_by_name["SubmissionService"].full_name,
    queue_pb2.DESCRIPTOR.services_by_name["QueueService"].full_name,
    operation_pb2.DESCRIPTOR.services_by_name["OperationService"].full_name,
    shape_pb2.DESCRIPTOR.services_by_name["ShapeService"].full_name,
    tunnel_pb2.DESCRIPTOR.services_by_name["TunnelService"].full_name,
    logs_pb2.DESCRIPTOR.services_by_name["LogService"].full_name,
    shell_pb2.DESCRIPTOR.services_by_name["ShellService"].full_name,
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
    reflection.SERVICE_NAME,
)


async def serve(config: Sidecar, spawner: socket.socket, spawner_pid: int) -> None:
    """Serve until SIGTERM or SIGINT; calls in flight get a moment to finish.

    Raises SpawnerGone when the spawner ends first: whoever started us has to start both anew.
    """
    operator = operator_runner(config)
    await check_time_out(operator, config.command_timeout_seconds)
    agents = Agents(spawner, config.agent_idle_seconds)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    access_pb2_grpc.add_AccessServiceServicer_to_server(AccessService(agents), server)
    submission_pb2_grpc.add_SubmissionServiceServicer_to_server(SubmissionService(agents), server)
    queue_pb2_grpc.add_QueueServiceServicer_to_server(QueueService(operator), server)
    operation_pb2_grpc.add_OperationServiceServicer_to_server(OperationService(operator), server)
    shape_pb2_grpc.add_ShapeServiceServicer_to_server(ShapeService(operator), server)
    tickets = Tickets()
    tunnel_pb2_grpc.add_TunnelServiceServicer_to_server(TunnelService(agents, tickets), server)
    logs_pb2_grpc.add_LogServiceServicer_to_server(LogService(agents), server)
    shell_pb2_grpc.add_ShellServiceServicer_to_server(ShellService(agents), server)
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection(SERVICES, server)
    listen(server, config.listen, config.tls)
    await server.start()
    close_to_others(config.listen)
    relay = Relay(tickets)
    await relay.start(config)
    for service in ("", *SERVICES):
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    log.info("sidecar ready", listen=config.listen, uid=os.getuid())
    notify_ready()

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_reader(os.pidfd_open(spawner_pid), agents.spawner_gone.set)
    ending_idle = asyncio.create_task(agents.end_idle())
    stopped = asyncio.create_task(stopping.wait())
    broken = asyncio.create_task(agents.spawner_gone.wait())
    await asyncio.wait({stopped, broken}, return_when=asyncio.FIRST_COMPLETED)
    await relay.close()
    agents.end_streams()
    await server.stop(grace=config.command_timeout_seconds)
    for task in (ending_idle, stopped, broken):
        task.cancel()
    await asyncio.gather(ending_idle, stopped, broken, return_exceptions=True)
    await agents.close()
    if not stopping.is_set():
        raise SpawnerGone("the spawner has ended or does not answer; start the sidecar anew")


class TimeOutTooShort(Exception):
    """A configured time-out that would cut off Slurm's own answers."""


async def check_time_out(operator: Runner, seconds: float) -> None:
    """Raise TimeOutTooShort when commands would be ended before Slurm itself gives up.

    sbatch would be killed although its job may be accepted. While Slurm does not answer nothing is checked.
    """
    try:
        message_timeout = (await operator.run(ScontrolShowConfig(), [])).message_timeout_seconds
    except SlurmUnavailable as error:
        log.warning("Slurm does not answer yet", reason=str(error))
        return
    if seconds <= message_timeout:
        raise TimeOutTooShort(
            f"sidecar.command_timeout_seconds is {seconds:g}, but must be above Slurm's MessageTimeout"
            f" of {message_timeout} s: set it to {message_timeout + 20} or more"
        )


def operator_runner(config: Sidecar) -> Runner:
    """Return what runs Slurm's commands as the service user: UTC, and times as epoch seconds."""
    environment = {"PATH": config.path, "LANG": "C.UTF-8", "TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}
    if config.slurm_conf:
        environment["SLURM_CONF"] = config.slurm_conf
    return Runner(environment, config.command_timeout_seconds)


def main() -> None:
    """Serve by the file that is the first argument, with a spawner: its socket, its process id."""
    configure_logs()
    allow_many_descriptors()
    config = load_sidecar(Path(sys.argv[1])).sidecar
    with socket.socket(fileno=int(sys.argv[2])) as spawner:
        try:
            asyncio.run(serve(config, spawner, int(sys.argv[3])))
        except (SpawnerGone, TimeOutTooShort, OSError) as error:
            sys.exit(f"slurm-provider sidecar: {error}")


if __name__ == "__main__":
    main()
