"""Both ends of the connection: a Unix socket, or TCP with mutual TLS; never plain TCP."""

from pathlib import Path

import grpc
import grpc.aio

from slurm_provider.config.sections import Tls

REQUEST_ID = "x-request-id"
"""Metadata key that joins the log lines of the two programs."""


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """Return a channel to the sidecar at `unix:/path` or `tcp:host:port`."""
    options = [
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Streams last for days: one to a host that has vanished must end by itself.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 15_000),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(
        tls.ca_file.read_bytes(), tls.key_file.read_bytes(), tls.certificate_file.read_bytes()
    )
    return grpc.aio.secure_channel(address.removeprefix("tcp:"), credentials, options=options)


SERVER_OPTIONS = [("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000)]
"""Allow the client's pings, which are more than a server takes by default."""


def listen(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    """Bind the server and return its TCP port (0 for a Unix socket).

    The folder of a Unix socket must be closed to others: until its mode is set, a fresh socket is
    as open as its folder. Raises PermissionError when it is not.
    """
    if tls is None:
        folder = Path(address.removeprefix("unix:")).parent
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o007:
            raise PermissionError(f"{folder} is open to every user; it must have mode 0750")
        server.add_insecure_port(address)
        return 0
    credentials = grpc.ssl_server_credentials(
        [(tls.key_file.read_bytes(), tls.certificate_file.read_bytes())],
        root_certificates=tls.ca_file.read_bytes(),
        require_client_auth=True,
    )
    return server.add_secure_port(address.removeprefix("tcp:"), credentials)


def close_to_others(address: str) -> None:
    """Give a bound Unix socket the mode 0660: its owner's and its group's alone."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).chmod(0o660)
