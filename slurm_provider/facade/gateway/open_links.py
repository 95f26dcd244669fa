"""The open connections of public links, each ended when its link no longer leads where it led."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.places import Key, Place, PublicLinks
from slurm_provider.facade.sessions.living import TooManyConnections

log = structlog.get_logger()

REVIEW_SECONDS = 1.0


class OpenLinks:
    """Runs what connections of public links do: they have no session whose end would end them."""

    def __init__(self, links: PublicLinks, most: int) -> None:
        self._links = links
        self._most = most
        self._open: dict[str, dict[asyncio.Task[None], Key]] = {}
        self._reviewing: asyncio.Task[None] | None = None

    async def run(self, domain: str, place: Place, work: Coroutine[Any, Any, None]) -> bool:
        """Do a connection's work; say whether it came to its own end.

        Raises TooManyConnections where the link has as many as it may, and what the work raises.
        """
        if len(self._open.get(domain, ())) >= self._most:
            work.close()
            raise TooManyConnections
        task = asyncio.create_task(work)
        self._open.setdefault(domain, {})[task] = place.key
        if self._reviewing is None:
            self._reviewing = asyncio.create_task(self._review())
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._open[domain][task]
            if not self._open[domain]:
                del self._open[domain]
        if task.cancelled():
            return False
        task.result()
        return True

    async def _review(self) -> None:
        while self._open:
            await asyncio.sleep(REVIEW_SECONDS)
            for domain in list(self._open):
                try:
                    self._cut_off(domain, await self._key_of(domain))
                except Exception:
                    log.exception("public link not reviewed", domain=domain)
        self._reviewing = None

    def _cut_off(self, domain: str, leads_to: Key | None) -> None:
        """End what was connected to where the link no longer leads."""
        for task, led_to in self._open.get(domain, {}).items():
            if led_to != leads_to:
                task.cancel()

    async def _key_of(self, domain: str) -> Key | None:
        try:
            place = await self._links(domain)
        except pages.Page:
            return None
        return place.key if place else None

    async def close(self) -> None:
        """Review no more."""
        if self._reviewing:
            self._reviewing.cancel()
            await asyncio.gather(self._reviewing, return_exceptions=True)
