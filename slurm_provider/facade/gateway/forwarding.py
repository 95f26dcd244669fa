"""Which headers reach the application, and which of its own reach the browser."""

import ipaddress

from slurm_provider.facade.gateway.clients import is_proxy
from slurm_provider.facade.gateway.cookies import confined, without_ours
from slurm_provider.facade.gateway.heads import Headers, RequestHead, ResponseHead

# RFC 9110, section 7.6.1: of one connection only.
_HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip
_OURS = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port",
         b"x-forwarded-prefix", b"x-forwarded-server", b"x-real-ip"}  # fmt: skip
_LASTING = {b"host", b"content-length", b"cookie", b"origin", b"expect"}
"""What a client cannot take from a request by naming it in Connection."""
_BEYOND_THE_SITE = {b"alt-svc", b"clear-site-data"}
"""What would change more in the browser than this one domain."""


def request_head(head: RequestHead, scheme: str, client: str) -> bytes:
    """Return the head by which the application is asked."""
    dropped = _HOP_BY_HOP | _OURS | (head.tokens(b"connection") - _LASTING)
    headers: Headers = []
    for name, value in head.headers:
        if name == b"cookie":
            value = without_ours(value)
            if not value:
                continue
        if name not in dropped:
            headers.append((name, value))
    headers += [
        (b"x-forwarded-for", client.encode("ascii")),
        (b"x-forwarded-proto", scheme.encode("ascii")),
        (b"x-forwarded-host", head.host.encode("ascii")),
    ]
    if head.is_chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    if head.upgrade:
        headers += [(b"connection", b"Upgrade"), (b"upgrade", head.upgrade)]
    return _text(b"%b %b HTTP/1.1" % (head.method, head.target), headers)


def response_head(head: ResponseHead, *, lasts: bool, chunked: bool) -> bytes:
    """Return the head by which the browser is answered."""
    dropped = _HOP_BY_HOP | _BEYOND_THE_SITE | (head.tokens(b"connection") - _LASTING)
    headers: Headers = []
    for name, value in head.headers:
        if name == b"set-cookie":
            cookie = confined(value)
            if cookie is not None:
                headers.append((name, cookie))
        elif name not in dropped:
            headers.append((name, value))
    if head.status == 101:
        headers += [(b"connection", b"Upgrade"), (b"upgrade", head.get(b"upgrade") or b"")]
    elif head.status >= 200:
        if head.get(b"origin-agent-cluster") is None:
            headers.append((b"origin-agent-cluster", b"?1"))
        if chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        if not lasts:
            headers.append((b"connection", b"close"))
    return _text(b"HTTP/1.1 %d %b" % (head.status, head.reason), headers)


def client_of(head: RequestHead, peer: str) -> str:
    """Return from where a request comes: the peer, or whom a proxy on this machine says it has asked for."""
    forwarded = [part.strip() for value in head.all(b"x-forwarded-for") for part in value.split(b",")]
    if peer and is_proxy(peer) and forwarded:
        try:
            return str(ipaddress.ip_address(forwarded[-1].decode("ascii", errors="replace")))
        except ValueError:
            return peer
    return peer


def _text(first: bytes, headers: Headers) -> bytes:
    return b"\r\n".join([first, *(b"%b: %b" % header for header in headers), b"", b""])
