"""Sockets an agent's user may have meddled with: to close one, or what came over it, holds up nobody.

Such a user can set SO_LINGER on a connection, with which the last close() waits for the other end, and can
send open files that nobody asked for, which the kernel closes for whoever does not take them. All of these
are closed in threads of their own.
"""

import os
import socket
import struct
import threading
from contextlib import suppress

MOST_DESCRIPTORS = 253
"""The kernel passes no more at a time."""


def close_aside(descriptor: int) -> None:
    """Close an open file without waiting for it."""
    threading.Thread(target=_close, args=(descriptor,), name="close", daemon=True).start()


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def close_handed(connection: socket.socket, *, reset: bool = False) -> None:
    """Close a connection without waiting; with `reset` so that the other end takes it for a failure."""
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))
    # Aside all the same: who else has the connection may set what they like right now.
    if (descriptor := connection.detach()) >= 0:
        close_aside(descriptor)


def handed_connection(descriptor: int) -> socket.socket | None:
    """Return what was handed up, if it is a TCP connection; close anything else."""
    try:
        handed = socket.socket(fileno=descriptor)
    except OSError:  # it is no socket
        close_aside(descriptor)
        return None
    tcp = handed.type == socket.SOCK_STREAM and handed.proto == socket.IPPROTO_TCP
    if tcp and handed.family in (socket.AF_INET, socket.AF_INET6):
        handed.setblocking(False)
        return handed
    close_handed(handed)
    return None


class AgentSocket(socket.socket):
    """One end of a Unix socket to an agent, which may send open files along with anything."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes, and close the open files that came with them."""
        data, descriptors, _, _ = socket.recv_fds(self, bufsize, MOST_DESCRIPTORS, flags)
        for descriptor in descriptors:
            close_aside(descriptor)
        return data

    def close(self) -> None:
        """Close it, with what nobody has received."""
        close_handed(self)


def agent_socket(connection: socket.socket) -> AgentSocket:
    """Return the same connection, as one to an agent."""
    return AgentSocket(fileno=connection.detach())


def agent_pair() -> tuple[AgentSocket, socket.socket]:
    """Return our end of a new connection, and the agent's."""
    ours, theirs = socket.socketpair()
    return agent_socket(ours), theirs
