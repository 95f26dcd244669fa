"""The id that joins the log lines of façade, sidecar and agent."""

import secrets

import structlog

from slurm_provider.rpc.endpoints import REQUEST_ID


def metadata() -> tuple[tuple[str, str]]:
    """Return a call's metadata: the id of the HTTP request that it is made for, or a new one."""
    request_id = structlog.contextvars.get_contextvars().get("request_id") or secrets.token_hex(8)
    return ((REQUEST_ID, request_id),)
