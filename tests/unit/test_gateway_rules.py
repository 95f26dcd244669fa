"""The gateway's small rules: cookies, headers, domains and pages."""

import pytest

from slurm_provider.facade.gateway import pages
from slurm_provider.facade.gateway.cookies import confined, our_cookie, secrets_in, without_ours
from slurm_provider.facade.gateway.forwarding import client_of, request_head, response_head
from slurm_provider.facade.gateway.heads import Headers, RequestHead, ResponseHead


def request(*headers: tuple[bytes, bytes], method: bytes = b"GET") -> RequestHead:
    return RequestHead([(b"host", b"a.example"), *headers], b"1.1", b"", method, b"/x?y")


def fields(head: bytes) -> Headers:
    lines = head.split(b"\r\n")[1:-2]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


# cookies


def test_our_cookie_is_for_one_host_and_over_https_only_for_that() -> None:
    assert our_cookie("s", 60, https=True) == (
        b"__Host-ucloud-session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    )
    assert our_cookie("s", 60, https=False) == (
        b"ucloud-session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    )


def test_only_the_cookie_of_the_scheme_lets_in() -> None:
    one, two, three = (str(number) * 43 for number in (1, 2, 3))
    text = f"ucloud-session={two};__Host-ucloud-session = {three}"
    values = [b"a=1; __Host-ucloud-session=%b" % one.encode(), text.encode()]
    assert secrets_in(values, https=True) == [one, three]
    assert secrets_in(values, https=False) == [two]


@pytest.mark.parametrize("value", ["", "x", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "\xff", '"' * 43])
def test_what_cannot_be_a_secret_is_not_looked_up(value: str) -> None:
    assert secrets_in([f"ucloud-session={value}".encode("latin-1")], https=False) == []


def test_of_many_secrets_only_a_few_are_looked_up() -> None:
    values = [f"ucloud-session={number:043}".encode() for number in range(30)]
    assert secrets_in([b"; ".join(values), *values], https=False) == [f"{number:043}" for number in range(3)]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b"a=1; __Host-ucloud-session=x; b=2", b"a=1; b=2"),
        (b"ucloud-session=x", b""),
        (b"UCloud-Session=x;c", b"c"),
        (b"=ucloud-session=x; d=4", b"d=4"),
        (b"my-ucloud-session=x; e=\"a b\"", b"my-ucloud-session=x; e=\"a b\""),
        (b";;", b""),
    ],
)  # fmt: skip
def test_the_application_sees_all_cookies_but_ours(value: bytes, left: bytes) -> None:
    assert without_ours(value) == left


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"a=1; Domain=.example; Path=/", b"a=1; Path=/"),
        (b"a=domain; domain", b"a=domain"),
        (b"a=1;DOMAIN=x;domain=y", b"a=1"),
        (b"a=1; domains=x; Path=/domain=y", b"a=1; domains=x; Path=/domain=y"),
        (b"__HOST-ucloud-session=x", None),
        (b"ucloud-session", None),
        (b"; ucloud-session=x", b"; ucloud-session=x"),
        (b"a=1;\tPath=/", b"a=1;\tPath=/"),
        (b"a=\x01", None),
        (b"\x0bucloud-session=x", None),
        (b"a=1; Path=/\x7f", None),
    ],
)
def test_a_cookie_of_an_application_stays_with_its_domain(value: bytes, kept: bytes | None) -> None:
    assert confined(value) == kept


# headers


def test_what_belongs_to_one_connection_is_not_passed_on() -> None:
    head = request(
        (b"connection", b"keep-alive, X-Mine, Host, Content-Length"),
        (b"keep-alive", b"1"),
        (b"te", b"trailers"),
        (b"x-mine", b"1"),
        (b"content-length", b"3"),
        (b"authorization", b"Bearer of the application"),
    )
    assert fields(request_head(head, "https", "192.0.2.1")) == [
        (b"host", b"a.example"),
        (b"content-length", b"3"),
        (b"authorization", b"Bearer of the application"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"a.example"),
    ]


@pytest.mark.parametrize(
    ("wanted", "passed"),
    [(b"websocket", b"websocket"), (b"h2c", None), (b"HTTP/2.0", None), (b"websocket, h2c", None)],
)
def test_a_websocket_is_switched_to_and_never_another_http(wanted: bytes, passed: bytes | None) -> None:
    head = request((b"connection", b"Upgrade"), (b"upgrade", wanted))
    assert dict(fields(request_head(head, "https", "::1"))).get(b"upgrade") == passed


def test_an_answers_head_says_how_its_body_ends() -> None:
    response = ResponseHead([(b"transfer-encoding", b"chunked")], b"1.1", b"", 200, b"OK")
    chunked = response_head(response, lasts=True, chunked=True)
    assert fields(chunked) == [(b"origin-agent-cluster", b"?1"), (b"transfer-encoding", b"chunked")]
    ended = response_head(response, lasts=False, chunked=False)
    assert fields(ended) == [(b"origin-agent-cluster", b"?1"), (b"connection", b"close")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", b"1.1.1.1", "192.0.2.9"),
        ("127.0.0.1", b"1.1.1.1, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", b"nonsense", "127.0.0.1"),
        ("127.0.0.1", b"", "127.0.0.1"),
        ("::1", b"2001:db8::1", "2001:db8::1"),
        ("", b"1.1.1.1", ""),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed_who_asks(peer: str, forwarded: bytes, client: str) -> None:
    assert client_of(request((b"x-forwarded-for", forwarded)), peer) == client


# pages


def test_what_a_page_says_is_text_and_nothing_else() -> None:
    page = pages.not_ready("<script>alert('it')</script>")
    answer = page.response(html=True).decode()
    assert "<script>" not in answer
    assert "&lt;script&gt;alert" in answer
    assert "Content-Security-Policy: default-src 'none'" in answer
    assert page.response(html=True, with_body=False).endswith(b"\r\n\r\n")
