"""The provider's calls to Core: faults, authorization, dispatch and the record of each."""

import asyncio
import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .control import CALLS, REFRESH_PATH, Call, Handler
from .today import CALLS_OF_TODAY
from .wire import CoreError, Era, JsonObject
from .world import World


async def receive(world: World, request: Request) -> Response:
    """Answer a call of the provider and write both down, in the order in which calls take effect."""
    raw = await request.body()
    call = Call(request.method, request.url.path, dict(request.query_params), None)
    if world.behaviour.delay_seconds > 0:
        await asyncio.sleep(world.behaviour.delay_seconds)
    status, reply = _answer(world, call, raw, request.headers.get("authorization"))
    await world.journal.add_received(
        {
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "body": call.body,
            "status": status,
            "reply": reply,
        }
        | call.notes
    )
    return JSONResponse(reply, status)


def _answer(world: World, call: Call, raw: bytes, authorization: str | None) -> tuple[int, JsonObject]:
    try:
        _read_body(call, raw)
        if world.behaviour.down:
            raise _fault(call, 502, "Bad Gateway")
        failure = world.behaviour.take_failure(call.path)
        if failure is not None and not failure.after:
            raise _fault(call, failure.status, "Failed as told")
        handler = _handler(world, call)
        if call.path != REFRESH_PATH:
            world.keys.check_provider(authorization)
        reply = handler(world, call)
        if failure is not None:
            raise _fault(call, failure.status, "Failed as told")
        return 200, reply
    except CoreError as error:
        _judge(world, call, error)
        return error.status, error.body(world.era)


def _fault(call: Call, status: int, why: str) -> CoreError:
    call.notes["fault"] = True
    return CoreError(status, why)


def _read_body(call: Call, raw: bytes) -> None:
    if not raw:
        return
    try:
        call.body = json.loads(raw)
    except ValueError as error:
        raise CoreError(400, f"Bad request: the body is no JSON ({error})") from error


def _handler(world: World, call: Call) -> Handler:
    calls: Mapping[tuple[str, str], Handler] = CALLS
    if world.era is Era.TODAY:
        calls = CALLS | CALLS_OF_TODAY
    handler = calls.get((call.method, call.path))
    if handler is None:
        raise CoreError(404, f"Not found: {call.method} {call.path}")
    return handler


def _judge(world: World, call: Call, error: CoreError) -> None:
    """A refusal is the provider's fault, unless it was played, or is about a job that Core has lost."""
    lost_job = error.status in (400, 404) and error.why.startswith("Not found or permission denied")
    if not call.notes.get("fault") and not lost_job:
        world.journal.violation(f"refused with {error.status}: {error.why}", call.path, call.body)
