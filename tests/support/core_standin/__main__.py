"""`python -m tests.support.core_standin`: run the stand-in until SIGTERM."""

import argparse
import os
import socket
from pathlib import Path
from types import FrameType

import uvicorn

from .app import create_app
from .catalogue import Catalogue
from .jobs import JobBook
from .journal import Journal
from .keys import Keys
from .wire import Era
from .world import World

DATA = Path(__file__).parents[2] / "data"


class Server(uvicorn.Server):
    """Uvicorn, which says on stdout where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"core-standin ready on http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once: everything is in memory, so nothing is to be put away."""
        os._exit(0)


def main() -> None:
    """Read the command line and serve."""
    options = _parser().parse_args()
    host, _, port = options.listen.rpartition(":")
    era = Era(options.era)
    world = World(
        era=era,
        provider_id=options.provider_id,
        provider_url=options.provider_url.rstrip("/"),
        keys=Keys(options.state_dir, options.provider_id),
        catalogue=Catalogue.load(options.data_dir),
        journal=Journal(options.state_dir / "received.jsonl"),
        jobs=JobBook(era),
    )
    config = uvicorn.Config(
        create_app(world), host=host, port=int(port), log_level="warning", timeout_keep_alive=120
    )
    Server(config).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="core-standin", description="A stand-in for UCloud/Core")
    parser.add_argument("--listen", default="127.0.0.1:8080", help="host:port; port 0 takes a free one")
    parser.add_argument("--provider-url", default="http://127.0.0.1:8889")
    parser.add_argument("--provider-id", default="example")
    parser.add_argument("--state-dir", type=Path, required=True, help="keys, refresh token, received.jsonl")
    parser.add_argument("--data-dir", type=Path, default=DATA, help="applications/*.json and products.json")
    parser.add_argument("--era", choices=[era.value for era in Era], default=Era.SEEDS.value)
    return parser


if __name__ == "__main__":
    main()
