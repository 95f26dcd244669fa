"""Errors become `{why, errorCode}` here and nowhere else."""

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


def _answer(status: int, why: str) -> JSONResponse:
    return JSONResponse(ErrorMessage(why=why).model_dump(), status)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status, why = (error.status, error.why) if isinstance(error, Refused) else (500, str(error))
    log.info("call refused", status=status, why=why)
    return _answer(status, why)


async def _not_understood(_request: Request, error: Exception) -> JSONResponse:
    mistakes = error.errors() if isinstance(error, RequestValidationError) else []
    details = mistakes[0] if mistakes else {"loc": (), "msg": str(error), "type": ""}
    if details["type"] == "json_invalid":
        return _answer(400, "the body is not JSON")
    if details["type"] == "missing" and details["loc"] == ("body",):
        return _answer(400, "the call has no body; it takes JSON")
    field = ".".join(str(part) for part in details["loc"] if part != "body") or "the body"
    return _answer(400, f"{field}: {details['msg']}")


async def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return _answer(500, str(error))
    match error.status_code:
        case 404:
            return _answer(404, "this provider has no such call")
        case 405:
            return _answer(405, "this call wants another HTTP method")
        case status:
            return _answer(status, str(error.detail))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("call failed", path=request.url.path, exc_info=error)
    return _answer(500, "the provider failed; its log says why")
