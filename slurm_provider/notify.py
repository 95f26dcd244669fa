"""systemd's readiness protocol (sd_notify(3))."""

import os
import socket


def notify_ready() -> None:
    """Tell systemd that the service is ready; does nothing when systemd did not ask."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        notify.send(b"READY=1")
