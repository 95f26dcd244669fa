"""The JSON of a request."""

from typing import Any

from starlette.requests import Request

from .wire import CoreError


async def json_of(request: Request) -> Any:
    """Return it decoded; a CoreError when it is none."""
    try:
        return await request.json()
    except ValueError as error:
        raise CoreError(400, f"Bad request: the body is no JSON ({error})") from error
