"""Errors become `{why, errorCode}` here and nowhere else."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from slurm_provider.ucloud.bulk import ErrorMessage

log = structlog.get_logger()


class Refused(Exception):
    """A call that is refused: HTTP status, and why in words that a user may read."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def install(app: FastAPI) -> None:
    """Make the application answer every error with a JSON body that has a `why`."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def answer(status: int, why: str) -> JSONResponse:
    """Return the answer to a call that is refused or has failed."""
    return JSONResponse(ErrorMessage(why=printable(why)).model_dump(), status)


def refusal(error: Refused) -> JSONResponse:
    """Return the answer to a call that is refused, and log it."""
    log.info("call refused", status=error.status, why=error.why)
    return answer(error.status, error.why)


def mistake_in_words(mistake: Mapping[str, Any], *place: str | int) -> str:
    """Return the field below `place` and what is wrong with it, from one of pydantic's `errors()`."""
    field = ".".join(str(part) for part in (*place, *mistake["loc"]) if part != "body") or "the body"
    return printable(f"{field}: {mistake['msg'].removeprefix('Value error, ')}")


def printable(text: str) -> str:
    """Return the text with `?` for what UTF-8 cannot hold: JSON may name half of a character."""
    return text.encode(errors="replace").decode()


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    return refusal(error if isinstance(error, Refused) else Refused(500, str(error)))


async def _not_understood(_request: Request, error: Exception) -> JSONResponse:
    mistakes = error.errors() if isinstance(error, RequestValidationError) else []
    details = mistakes[0] if mistakes else {"loc": (), "msg": str(error), "type": ""}
    if details["type"] == "json_invalid":
        return answer(400, "the body is not JSON")
    if details["type"] == "missing" and details["loc"] == ("body",):
        return answer(400, "the call has no body; it takes JSON")
    return answer(400, mistake_in_words(details))


async def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return answer(500, str(error))
    match error.status_code:
        case 404:
            return answer(404, "this provider has no such call")
        case 405:
            return answer(405, "this call wants another HTTP method")
        case status:
            return answer(status, str(error.detail))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("call failed", path=request.url.path, exc_info=error)
    return answer(500, "the provider failed; its log says why")
