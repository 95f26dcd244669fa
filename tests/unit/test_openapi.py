"""Whatever is sent to any call: never a 5xx, never a status that the OpenAPI document does not name."""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from slurm_provider.config import load_facade
from slurm_provider.facade.app import create_app
from tests.support.core_standin.keys import Keys
from tests.support.processes import ROOT
from tests.unit.builders import CONFIG, config_file

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MORE = """
[facade]
create_wait_seconds = 0.05

[ssh]
install_keys = true
host = "login.example"

[connect]
url = "https://portal.example/{username}"

[web]
listen = "127.0.0.1:0"
suffix = ".example.com"

[[public_links]]
category = "links"
id = "links"
suffix = ".example.com"

[choices]
accounts = ["*"]
modules = ["gcc/12"]
"""
PAGE = (ROOT / "docs/calls.md").read_text()
DOCUMENTED = re.findall(r"^\| `(GET|POST|DELETE) (/\S+)` \|", PAGE.replace("/P/", "/example/"), re.MULTILINE)
EXAMPLES = 20


@dataclass(frozen=True)
class Facade:
    """A façade in this process, called with Core's token; its Core and Slurm are away."""

    http: httpx.AsyncClient
    schema: schemathesis.BaseSchema
    calls: set[tuple[str, str]]


@pytest.fixture(scope="module")
async def facade(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Facade]:
    folder = tmp_path_factory.mktemp("facade")
    keys = Keys(folder / "keys", "example")
    text = CONFIG.replace("http://core.example", "http://127.0.0.1:9")
    text = text.replace("unix:/run/sidecar.sock", f"unix:{folder}/sidecar.sock")
    config = load_facade(config_file(folder, text + MORE))
    config.core.public_key_file.write_text(base64.b64encode(keys.public_der).decode())
    app = create_app(config)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {keys.service_token()}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://facade", headers=headers, timeout=60) as http,
    ):
        yield Facade(http, schemathesis.openapi.from_dict(app.openapi()), _calls(app))


def _calls(app: FastAPI) -> set[tuple[str, str]]:
    paths = app.openapi()["paths"].items()
    return {
        (method.upper(), path)
        for path, operations in paths
        for method in operations
        if path.startswith("/ucloud/")
    }


async def test_the_table_of_calls_has_every_call_and_no_other(facade: Facade) -> None:
    assert sorted(DOCUMENTED) == sorted(facade.calls)


@pytest.mark.parametrize(("method", "path"), DOCUMENTED)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
async def test_no_call_fails_or_answers_what_is_not_documented(
    facade: Facade, method: str, path: str, data: Any
) -> None:
    case = data.draw(facade.schema[path][method].as_strategy())
    request = case.as_transport_kwargs(base_url="http://facade")
    answer = await facade.http.request(
        request["method"], request["url"], params=request.get("params"), **_body(request)
    )
    case.validate_response(schemathesis.Response.from_any(answer), checks=CHECKS)


def _body(request: dict[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in ("json", "data") if request.get(name) is not None}
