"""A façade in the test's own process, whose Core and Slurm are away."""

import base64
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from slurm_provider.config import load_facade
from slurm_provider.facade.app import create_app
from slurm_provider.facade.services import Services
from slurm_provider.jobmap import JobMap, UserMapping
from tests.support.core_standin.keys import Keys
from tests.unit.builders import CONFIG, config_file

SEED = json.loads((Path(__file__).parents[1] / "data/seeds/create.request.json").read_text())["items"][0]


@dataclass(frozen=True)
class Facade:
    """A façade in this process, whose sidecar's socket is `folder/sidecar.sock`."""

    app: FastAPI
    http: httpx.AsyncClient
    """With Core's token."""

    @property
    def services(self) -> Services:
        """What the calls work with."""
        services: Services = self.app.state.services
        return services

    async def post(self, path: str, body: Any) -> httpx.Response:
        """Make a call as Core."""
        return await self.http.post(f"/ucloud/example/{path}", content=json.dumps(body))

    async def told(self, job_id: str) -> list[str]:
        """The texts of the updates that wait for Core."""
        history = await self.services.jobmap.call(JobMap.history, job_id)
        return [item["body"]["update"]["status"] for item in history["outbox"]]


@asynccontextmanager
async def running_facade(folder: Path, more: str = "") -> AsyncIterator[Facade]:
    """A façade with a fresh job map, whose user is mapped and whose Core and Slurm are away.

    `more` is appended to its configuration.
    """
    keys = Keys(folder / "keys", "example")
    text = CONFIG.replace("http://core.example", "http://127.0.0.1:9")
    text = text.replace("unix:/run/sidecar.sock", f"unix:{folder}/sidecar.sock")
    config = load_facade(config_file(folder, text + "\n[facade]\ncreate_wait_seconds = 0.5\n" + more))
    config.core.public_key_file.write_text(base64.b64encode(keys.public_der).decode())
    app = create_app(config)
    headers = {"Authorization": f"Bearer {keys.service_token()}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://facade",
            headers=headers,
            timeout=60,
        ) as http,
    ):
        facade = Facade(app, http)
        user = SEED["owner"]["createdBy"]
        await facade.services.jobmap.call(JobMap.map_user, UserMapping(user, "alice", "users"))
        yield facade


def seed(job_id: str, **specification: Any) -> Any:
    """The seed's job under another id."""
    made = copy.deepcopy(SEED)
    made["id"] = job_id
    made["specification"] |= specification
    return made
