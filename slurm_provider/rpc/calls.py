"""What all calls of a sidecar have in common: time-out, request id, and what their errors mean."""

import secrets
from typing import Any

import grpc.aio
import structlog

from slurm_provider.rpc.endpoints import REQUEST_ID

CALL_TIMEOUT_SECONDS = 90.0
"""Above the time-out of the sidecar's own Slurm commands."""


class ClusterUnavailable(Exception):
    """Sidecar or Slurm gave no complete answer: nothing may be concluded, of a submission least of all."""


class ClusterRefused(Exception):
    """Slurm does not do what was asked; the text is its reason."""


def call_options(timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Return a call's time-out and its request id: that of the HTTP request, or a new one."""
    request_id = structlog.contextvars.get_contextvars().get("request_id") or secrets.token_hex(8)
    return {"timeout": timeout_seconds, "metadata": ((REQUEST_ID, request_id),)}


def unavailable(error: grpc.aio.AioRpcError) -> ClusterUnavailable:
    """Return the error that the rest of the façade knows."""
    return ClusterUnavailable(f"{error.details() or 'no answer'} ({error.code().name})")
