"""The sidecar by itself: its contract on the wire, over a Unix socket and over mutual TLS."""

import re
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from slurm_provider.rpc.endpoints import open_channel
from slurm_provider.rpc.v1.queue_pb2 import GetLimitsRequest
from slurm_provider.rpc.v1.queue_pb2_grpc import QueueServiceStub
from slurm_provider.rpc.v1.submission_pb2 import CancelRequest
from slurm_provider.rpc.v1.submission_pb2_grpc import SubmissionServiceStub
from tests.cluster.conftest import cluster_folder, fresh_folder
from tests.support.keys import key_pair, tls_of
from tests.support.processes import COMMAND, ROOT, Program, as_user
from tests.support.stack import SIDECAR_USER, Stack, free_port, prepare


async def test_tcp_is_spoken_with_mutual_tls_only() -> None:
    folder = fresh_folder("mutual-tls")
    prepare(folder)
    authority = key_pair(folder, "ca", None)
    for name in ("sidecar", "facade"):
        key_pair(folder, name, authority)
    key_pair(folder, "stranger", None)
    address = f"tcp:localhost:{free_port()}"
    (folder / "config.toml").write_text(
        f"""
[sidecar]
listen = "{address}"
slurm_conf = "{cluster_folder()}/etc/slurm.conf"
[sidecar.tls]
certificate_file = "{folder}/sidecar.crt"
key_file = "{folder}/sidecar.key"
ca_file = "{folder}/ca.crt"
"""
    )
    sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
    await sidecar.start()
    try:
        async with open_channel(address, tls_of(folder, "facade")) as channel:
            limits = await QueueServiceStub(channel).GetLimits(GetLimitsRequest(), timeout=20)
        assert "main" in [partition.name for partition in limits.partitions]
        plain = grpc.aio.insecure_channel(address.removeprefix("tcp:"))
        for refused in (plain, open_channel(address, tls_of(folder, "stranger"))):
            async with refused as channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    await QueueServiceStub(channel).GetLimits(GetLimitsRequest(), timeout=5)
    finally:
        await sidecar.stop()


async def test_tcp_without_keys_is_refused_at_the_start() -> None:
    folder = fresh_folder("plain-tcp")
    prepare(folder)
    (folder / "config.toml").write_text('[sidecar]\nlisten = "tcp:localhost:1"\n')
    sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
    with pytest.raises(RuntimeError, match="plain TCP is not spoken"):
        await sidecar.start()


async def test_a_socket_in_an_open_folder_is_refused_at_the_start() -> None:
    folder = fresh_folder("open-folder")
    prepare(folder)
    (folder / "run").chmod(0o755)
    (folder / "config.toml").write_text(f'[sidecar]\nlisten = "unix:{folder}/run/sidecar.sock"\n')
    sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
    with pytest.raises(RuntimeError, match="open to every user"):
        await sidecar.start()


async def test_a_time_out_that_would_cut_off_slurm_is_refused_at_the_start() -> None:
    folder = fresh_folder("time-out")
    prepare(folder)
    (folder / "config.toml").write_text(
        f"""
[sidecar]
listen = "unix:{folder}/run/sidecar.sock"
slurm_conf = "{cluster_folder()}/etc/slurm.conf"
command_timeout_seconds = 5
"""
    )
    sidecar = Program([COMMAND, "sidecar", "-c", folder / "config.toml"], folder / "log/sidecar.log")
    with pytest.raises(RuntimeError, match="above Slurm's MessageTimeout of 5 s"):
        await sidecar.start()


async def test_the_sidecar_starts_without_root_by_the_capabilities_of_its_unit() -> None:
    folder = fresh_folder("unit")
    prepare(folder)
    (folder / "config.toml").write_text(
        f"""
[sidecar]
listen = "unix:{folder}/run/sidecar.sock"
slurm_conf = "{cluster_folder()}/etc/slurm.conf"
"""
    )
    unit = (ROOT / "systemd/slurm-provider-sidecar.service").read_text()
    (names,) = re.findall(r"^AmbientCapabilities=(.*)$", unit, re.MULTILINE)
    capabilities = "-all," + ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names.split())
    kinds = ("inh-caps", "ambient-caps", "bounding-set")
    as_the_unit = as_user(SIDECAR_USER, COMMAND, "sidecar", "-c", folder / "config.toml")
    as_the_unit[1:1] = [f"--{kind}={capabilities}" for kind in kinds]
    sidecar = Program(as_the_unit, folder / "log/sidecar.log")
    await sidecar.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{folder}/run/sidecar.sock") as channel:
            # scancel says nothing about ids that it does not know.
            await SubmissionServiceStub(channel).Cancel(CancelRequest(local_user="alice", slurm_id=2**31))
    finally:
        await sidecar.stop()
    assert '"local_user": "alice"' in (folder / "log/sidecar.log").read_text()


async def test_health_and_reflection_are_served(stack: Stack) -> None:
    async with grpc.aio.insecure_channel(f"unix:{stack.folder}/run/sidecar.sock") as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        health = await check(health_pb2.HealthCheckRequest(service="slurm_provider.v1.SubmissionService"))
        reflect: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answers = [answer async for answer in reflect(requests)]
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    services = {service.name for service in answers[0].list_services_response.service}
    assert {"slurm_provider.v1.SubmissionService", "slurm_provider.v1.QueueService"} <= services


async def test_every_slurm_command_is_logged_with_its_request(stack: Stack) -> None:
    async with grpc.aio.insecure_channel(f"unix:{stack.folder}/run/sidecar.sock") as channel:
        await QueueServiceStub(channel).GetLimits(
            GetLimitsRequest(), metadata=(("x-request-id", "the-request-of-this-test"),)
        )
    lines = (stack.folder / "log/sidecar.log").read_text().splitlines()
    ours = [line for line in lines if "the-request-of-this-test" in line]
    assert len(ours) == 4
    assert all('"returncode": 0' in line and '"seconds"' in line and '"stderr"' in line for line in ours)
