"""`config check`: is the file right, and are the things it names there?"""

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import typer
from grpc_health.v1 import health_pb2

from slurm_provider.cli.common import DEFAULT_PATH, ConfigPath, console, fail
from slurm_provider.config import Cluster, ConfigError, FacadeConfig, load_facade
from slurm_provider.config.loading import line_of
from slurm_provider.facade.auth import load_public_key
from slurm_provider.rpc.endpoints import open_channel

app = typer.Typer(no_args_is_help=True, help="The configuration file.")

SIDECAR_TIMEOUT_SECONDS = 5.0
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


@app.callback()
def _group() -> None: ...


@app.command()
def check(config: ConfigPath = DEFAULT_PATH) -> None:
    """Check the file and what it names: keys, folders, sidecars."""
    try:
        check_facade(config)
    except ConfigError as error:
        fail(str(error))
    console.print(f"{config} is right, and every sidecar answers")


def check_facade(path: Path) -> FacadeConfig:
    """Return the configuration if the façade can start with it; else raise ConfigError with all mistakes."""
    config = load_facade(path)
    mistakes = [*_files(config, path), *asyncio.run(_sidecars(config, path))]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _at(path: Path, *location: str | int) -> str:
    return f"{path}:{line_of(path.read_text(), location)}: {'.'.join(map(str, location))}"


def _files(config: FacadeConfig, path: Path) -> list[str]:
    mistakes = []
    try:
        load_public_key(config.core.public_key_file.read_text())
    except (OSError, ValueError) as error:
        mistakes.append(f"{_at(path, 'core', 'public_key_file')}: {error}")
    try:
        if not config.core.refresh_token_file.read_text().strip():
            mistakes.append(f"{_at(path, 'core', 'refresh_token_file')}: the file is empty")
    except OSError as error:
        mistakes.append(f"{_at(path, 'core', 'refresh_token_file')}: {error.strerror}")
    folder = Path(config.jobmap.path).parent
    if not folder.is_dir():
        mistakes.append(f"{_at(path, 'jobmap', 'path')}: the folder {folder} does not exist")
    return mistakes


async def _sidecars(config: FacadeConfig, path: Path) -> list[str]:
    mistakes = []
    for name, cluster in config.clusters.items():
        if why := await _unreachable(cluster):
            where = _at(path, "clusters", name, "sidecar")
            mistakes.append(f"{where}: {cluster.sidecar} does not answer: {why}")
    return mistakes


async def _unreachable(cluster: Cluster) -> str | None:
    try:
        async with open_channel(cluster.sidecar, cluster.tls) as channel:
            check: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
                HEALTH_CHECK, request_serializer=health_pb2.HealthCheckRequest.SerializeToString
            )
            await check(health_pb2.HealthCheckRequest(), timeout=SIDECAR_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.details() or error.code().name
    except OSError as error:
        return str(error)
    return None
