"""Running the façade under uvicorn."""

import socket

import uvicorn
from fastapi import FastAPI

from slurm_provider.config import FacadeConfig
from slurm_provider.descriptors import allow_many_descriptors
from slurm_provider.facade.app import create_app
from slurm_provider.notify import notify_ready

LARGEST_MESSAGE_BYTES = 4 << 20
"""On a WebSocket: a whole job from Core, or what a user pastes into a terminal."""
PING_SECONDS = 30
PONG_SECONDS = 120
"""A slow client that is held back hears the ping late."""


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_ready()


def uvicorn_config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    """Return how the façade is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
        # Waits for slow clients before it takes more for them, and reads no message before the last.
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE_BYTES,
        # Compression would cost each connection a third of a megabyte.
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
    )


def run(config: FacadeConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    allow_many_descriptors()
    host, _, port = config.facade.listen.rpartition(":")
    _Server(uvicorn_config(create_app(config), host.strip("[]"), int(port))).run()
