"""Connections to jobs that wait to be fetched, each against a ticket that is good for it once."""

import asyncio
import secrets
import socket

from slurm_provider.rpc.handed import close_handed
from slurm_provider.rpc.relay import TICKET_BYTES

KEPT_SECONDS = 10.0
MOST = 1000


class TooManyTickets(Exception):
    """More connections wait to be fetched than anybody needs."""


class Tickets:
    """What has been opened and not been fetched."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[socket.socket, asyncio.TimerHandle]] = {}

    def add(self, tunnel: socket.socket) -> bytes:
        """Keep a connection for a few seconds; return its ticket. Raises TooManyTickets."""
        if len(self._waiting) >= MOST:
            raise TooManyTickets
        ticket = secrets.token_bytes(TICKET_BYTES)
        timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, ticket)
        self._waiting[ticket] = tunnel, timer
        return ticket

    def redeem(self, ticket: bytes) -> socket.socket | None:
        """Return the connection of a ticket, whose owner is the caller from now on; None for any other."""
        tunnel, timer = self._waiting.pop(ticket, (None, None))
        if timer is not None:
            timer.cancel()
        return tunnel

    def _forget(self, ticket: bytes) -> None:
        if tunnel := self.redeem(ticket):
            close_handed(tunnel)

    def close(self) -> None:
        """Close what was never fetched."""
        for ticket in list(self._waiting):
            self._forget(ticket)
