"""One request and its answer, passed on between a browser and an application."""

import asyncio
from contextlib import suppress

from slurm_provider.facade.gateway.bodies import pass_both_ways, pass_chunks
from slurm_provider.facade.gateway.forwarding import request_head, response_head
from slurm_provider.facade.gateway.heads import HEAD_BYTES, BadHead, RequestHead, ResponseHead, read_response
from slurm_provider.rpc.wire import Broken, Wire


class Gone(Exception):
    """The browser has gone away."""


class Exchange:
    """A request that an application is asked, and what has become of it."""

    def __init__(self, browser: Wire, application: Wire, request: RequestHead) -> None:
        self._browser = browser
        self._application = application
        self._request = request
        self.answered = False
        """Whether the browser has got any of the answer."""
        self.browser_lasts = False
        """Whether another request can follow on the browser's connection."""
        self.application_lasts = False
        """Whether another request can follow on the application's connection."""
        self._heard = False

    @property
    def is_unheard(self) -> bool:
        """Whether the application has not said a single byte."""
        return not self._heard and not self._application.buffer

    async def run(self, scheme: str, client: str) -> None:
        """Pass the request on, and the answer back.

        Raises BadHead for an answer that is none, Broken when either end breaks, Gone without a browser.
        """
        await self._application.send(request_head(self._request, scheme, client))
        sending = asyncio.create_task(self._send_body())
        watching = asyncio.create_task(self._watch(sending))
        answering = asyncio.create_task(self._answer(sending, watching))
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and not watching.cancelled():
                watching.result()
            await answering
        finally:
            for task in (answering, watching, sending):
                task.cancel()
            await asyncio.gather(answering, watching, sending, return_exceptions=True)

    async def _send_body(self) -> None:
        request = self._request
        if request.is_chunked:
            await pass_chunks(self._browser, self._application, request, request, rechunk=True)
        elif request.content_length:
            await self._browser.pass_on(self._application, request.content_length)

    async def _answer(self, sending: asyncio.Task[None], watching: asyncio.Task[None]) -> None:
        response = await self._read_answer()
        if response.status == 101:
            await sending
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._switch(response)
        else:
            await self._pass_answer(response, sending)

    async def _read_answer(self) -> ResponseHead:
        while True:
            response = await read_response(self._application, self._request)
            self._heard = True
            if response.status >= 200 or response.status == 101:
                return response
            if self._request.version == b"1.1":
                await self._browser.send(response_head(response, lasts=True, chunked=False))

    async def _watch(self, sending: asyncio.Task[None]) -> None:
        """Return when as much of the next requests has come as is read ahead.

        Raises Gone when the browser has left, BadHead when the body that it sends is not understood.
        """
        await asyncio.wait({sending})
        error = sending.exception()
        if isinstance(error, BadHead):
            raise error
        if isinstance(error, Broken):
            if self._browser.at_end:
                raise Gone from error
            return  # an application may answer without reading all
        while len(self._browser.buffer) < HEAD_BYTES:
            if not await self._browser.fill():
                raise Gone

    async def _pass_answer(self, response: ResponseHead, sending: asyncio.Task[None]) -> None:
        request = self._request
        without_body = request.method == b"HEAD" or response.status in (204, 304)
        known = without_body or response.is_chunked or response.content_length is not None
        rechunk = response.is_chunked and not without_body and request.version == b"1.1"
        delimited = without_body or rechunk or (response.content_length is not None)
        lasts = delimited and request.lasts and (sending.done() or not request.has_body)
        self.answered = True
        await self._browser.send(response_head(response, lasts=lasts, chunked=rechunk))
        if not without_body:
            await self._pass_body(response, rechunk=rechunk)
        sent = sending.done() and sending.exception() is None
        self.browser_lasts = lasts and sent
        self.application_lasts = (
            known and sent and response.version == b"1.1" and b"close" not in response.tokens(b"connection")
        )

    async def _pass_body(self, response: ResponseHead, *, rechunk: bool) -> None:
        if response.is_chunked:
            await pass_chunks(self._application, self._browser, response, self._request, rechunk=rechunk)
        else:
            await self._application.pass_on(self._browser, response.content_length)

    async def _switch(self, response: ResponseHead) -> None:
        """Go on with another protocol, of which only the bytes matter."""
        self.answered = True
        await self._browser.send(response_head(response, lasts=True, chunked=False))
        with suppress(ExceptionGroup):
            await pass_both_ways(self._browser, self._application)
