"""Jobs as Core sends them, made from the seed's example."""

import copy
import itertools
import json
import time
from typing import Any

from tests.support.processes import ROOT

DATA = ROOT / "tests/data"
_ids = itertools.count(int(time.time()))


def seed(name: str) -> Any:
    """Return an example of the seed documents (`tests/data/seeds/NAME.json`)."""
    return json.loads((DATA / f"seeds/{name}.json").read_text())


def application(name: str) -> Any:
    """Return an application of the catalogue, in version 1.0.0."""
    return json.loads((DATA / f"applications/{name}-1.0.0.json").read_text())


def job(
    script: str,
    *,
    user: str = "user",
    project: str | None = None,
    replicas: int = 1,
    product: str = "example-compute-1",
    app: str = "shell-script",
    job_id: str | None = None,
    **specification: Any,
) -> Any:
    """Return a new job that runs a shell script, as Core would send it to be created."""
    made = copy.deepcopy(seed("create.request")["items"][0])
    made["id"] = job_id or str(next(_ids))
    made["createdAt"] = int(time.time() * 1000)
    made["owner"] = {"createdBy": user, "project": project}
    made["specification"] |= {
        "application": {"name": app, "version": "1.0.0"},
        "parameters": {"script": {"type": "text", "value": script}},
        "replicas": replicas,
        "timeAllocation": {"hours": 0, "minutes": 10, "seconds": 0},
        **specification,
    }
    made["specification"]["product"]["id"] = product
    made["status"]["resolvedApplication"] = application(app)
    return made


def bulk(*jobs: Any) -> Any:
    """Return a bulk request."""
    return {"items": list(jobs)}
