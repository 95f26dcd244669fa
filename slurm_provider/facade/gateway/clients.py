"""How many connections come from one address, straight or through the proxy in front."""

import ipaddress
from collections import Counter


class Clients:
    """Counts connections by where they come from."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Count a connection; return False, and count nothing, where the client has as many as it may."""
        if self._connections[client] >= self._most:
            return False
        self._connections[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Count a connection no longer."""
        self._connections[client] -= 1
        if self._connections[client] <= 0:
            del self._connections[client]


def is_proxy(peer: str) -> bool:
    """Say whether the peer is what stands in front of the gateway on this machine, for many clients."""
    return not peer or ipaddress.ip_address(peer).is_loopback
