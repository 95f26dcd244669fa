"""The heads of requests and responses, read strictly: what two programs could read in two ways is refused."""

import re
from dataclasses import dataclass, field

import h11

from slurm_provider.rpc.wire import Broken, Wire

HEAD_BYTES = 64 << 10
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}")
_HOST = re.compile(rb"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")
_ENDS = re.compile(rb"(?<!\r)\n|\r(?!\n)|\x00")

Headers = list[tuple[bytes, bytes]]


class BadHead(Exception):
    """A head that is refused: HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass
class Head:
    """What a request and a response have in common; names of `headers` are in lower case."""

    headers: Headers
    version: bytes
    raw: bytes = field(repr=False)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of a header."""
        return [value for found, value in self.headers if found == name]

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a header, or None."""
        return next((value for found, value in self.headers if found == name), None)

    def tokens(self, name: bytes) -> set[bytes]:
        """Return the words of a header that is a list, in lower case."""
        return {word.strip().lower() for value in self.all(name) for word in value.split(b",")}

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.get(b"transfer-encoding") is not None

    @property
    def content_length(self) -> int | None:
        """The body's length, None where no header tells it."""
        length = self.get(b"content-length")
        return None if length is None else int(length)


@dataclass
class RequestHead(Head):
    """The head of a request."""

    method: bytes
    target: bytes

    @property
    def host(self) -> str:
        """The value of Host, checked: a name and perhaps a port."""
        return (self.get(b"host") or b"").decode("ascii")

    @property
    def upgrade(self) -> bytes | None:
        """The protocol that the client would like to go on with; never another HTTP."""
        wanted = self.get(b"upgrade")
        if not wanted or b"upgrade" not in self.tokens(b"connection"):
            return None
        return None if any(p.startswith((b"h2", b"http")) for p in self.tokens(b"upgrade")) else wanted

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.is_chunked or bool(self.content_length)

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no harm to ask twice, and nothing of the request is lost by then."""
        return self.method in (b"GET", b"HEAD") and not self.has_body and self.upgrade is None

    @property
    def lasts(self) -> bool:
        """Whether the client may send another request on this connection."""
        return self.version == b"1.1" and b"close" not in self.tokens(b"connection")

    @property
    def is_navigation(self) -> bool:
        """Whether a person looks at the answer."""
        mode = self.get(b"sec-fetch-mode")
        if mode is not None:
            return mode == b"navigate"
        return self.method == b"GET" and b"text/html" in (self.get(b"accept") or b"")


@dataclass
class ResponseHead(Head):
    """The head of a response."""

    status: int
    reason: bytes


async def read_request(wire: Wire) -> RequestHead | None:
    """Return the next request's head, None at the end of the connection; raise BadHead or Broken."""
    try:
        raw = await wire.head(HEAD_BYTES)
    except ValueError as error:
        raise BadHead(431, "the head of the request is longer than 64 KiB") from error
    if not raw:
        return None
    _check_lines(raw)
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    try:
        connection.receive_data(raw)
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise BadHead(400, f"the request could not be understood: {error}") from error
    if not isinstance(event, h11.Request):
        raise BadHead(400, "the request could not be understood")
    head = RequestHead(list(event.headers), event.http_version, raw, event.method, event.target)
    _check_request(head)
    return head


def _check_lines(raw: bytes) -> None:
    """Raise BadHead for line ends, folds and zeros that some would read otherwise."""
    if _ENDS.search(raw):
        raise BadHead(400, "the head has a line end that is not CR LF")
    lines = raw.split(b"\r\n")
    if not lines[0] or any(line.startswith((b" ", b"\t")) for line in lines):
        raise BadHead(400, "the head has a folded or an empty line")
    fields = [line.partition(b":") for line in lines[1:-2]]
    names = [name.lower() for name, _, _ in fields]
    if any(name.lower() == b"content-length" and not value.strip().isdigit() for name, _, value in fields):
        raise BadHead(400, "the length of the body is no number")
    for name in (b"content-length", b"host", b"transfer-encoding"):
        if names.count(name) > 1:
            raise BadHead(400, f"there is more than one {name.decode()} header")
    if b"content-length" in names and b"transfer-encoding" in names:
        raise BadHead(400, "the length of the body is told in two ways")


def _check_request(head: RequestHead) -> None:
    if head.version not in (b"1.0", b"1.1"):
        raise BadHead(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if not _METHOD.fullmatch(head.method):
        raise BadHead(400, "the request has an odd method")
    if head.method in (b"CONNECT", b"TRACE"):
        raise BadHead(405, f"{head.method.decode()} is not possible here")
    if not head.target.startswith(b"/"):
        raise BadHead(400, "the request must name a path that begins with /")
    if not _HOST.fullmatch(head.get(b"host") or b""):
        raise BadHead(400, "the request must name one host")
    if head.version == b"1.0" and head.is_chunked:
        raise BadHead(400, "a request of HTTP/1.0 has no chunks")
    if head.get(b"expect") is not None and head.tokens(b"expect") != {b"100-continue"}:
        raise BadHead(417, "only 100-continue can be expected")


async def read_response(wire: Wire, request: RequestHead) -> ResponseHead:
    """Return the next response's head; raise BadHead or Broken for what is none."""
    try:
        raw = await wire.head(HEAD_BYTES)
    except ValueError as error:
        raise BadHead(502, "the head of the application's answer is longer than 64 KiB") from error
    if not raw:
        raise Broken("the application has ended the connection without an answer")
    connection = after(request)
    try:
        _check_lines(raw)
        connection.receive_data(raw)
        event = connection.next_event()
    except (BadHead, h11.RemoteProtocolError) as error:
        raise BadHead(502, f"the application's answer could not be understood: {error}") from error
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise BadHead(502, "the application's answer could not be understood")
    return ResponseHead(list(event.headers), event.http_version, raw, event.status_code, event.reason)


def after(request: RequestHead) -> h11.Connection:
    """Return what reads the response to a request."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    wanted = [(b"connection", b"upgrade"), (b"upgrade", b"x")] if request.upgrade else []
    connection.send(h11.Request(method=request.method, target=b"/", headers=[(b"host", b"x"), *wanted]))
    connection.send(h11.EndOfMessage())
    return connection


def chunks_of(head: Head, request: RequestHead) -> h11.Connection:
    """Return what reads the chunks that follow a head."""
    if head is request:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    else:
        connection = after(request)
    connection.receive_data(head.raw)
    connection.next_event()
    return connection
