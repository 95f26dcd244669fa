"""Running the façade under uvicorn."""

import socket

import uvicorn

from slurm_provider.config import FacadeConfig
from slurm_provider.facade.app import create_app
from slurm_provider.notify import notify_ready


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_ready()


def run(config: FacadeConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    host, _, port = config.facade.listen.rpartition(":")
    _Server(
        uvicorn.Config(
            create_app(config),
            host=host.strip("[]"),
            port=int(port),
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    ).run()
