"""What people see when there is no application to be seen."""

import json
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

RETRY_SECONDS = 3

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{title}</title>
<style>
body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1.5rem;
color: #1f2933; background: #fff }}
h1 {{ font-size: 1.5rem }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
"""


@dataclass(eq=False)
class Page(Exception):
    """An answer of the gateway's own; `retry` says that asking again soon may help."""

    status: int
    title: str
    text: str
    retry: bool = False

    def response(self, *, html: bool, with_body: bool = True) -> bytes:
        """Return the whole response, as a page for people or as JSON for programs; it ends the connection."""
        if html:
            kind = "text/html; charset=utf-8"
            refresh = f'<meta http-equiv="refresh" content="{RETRY_SECONDS}">\n' if self.retry else ""
            body = _PAGE.format(refresh=refresh, title=escape(self.title), text=escape(self.text))
        else:
            kind = "application/json"
            body = json.dumps({"why": f"{self.title}: {self.text}", "errorCode": None})
        content = body.encode()
        headers = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            *([f"Retry-After: {RETRY_SECONDS}"] if self.retry else []),
            "Connection: close",
        ]
        return "\r\n".join([*headers, "", ""]).encode("ascii") + (content if with_body else b"")


def refused(status: int, why: str) -> Page:
    """Return the answer to a request that is not taken."""
    return Page(status, "The request was refused", f"{why[:1].upper()}{why[1:]}.")


def unknown() -> Page:
    """Return the answer for a domain or a path that leads nowhere."""
    return Page(404, "There is nothing here", "The address leads to no application. Open it from UCloud.")


def not_let_in(why: str) -> Page:
    """Return the answer to a browser that has no session."""
    return Page(401, "You are not let in", f"{why} Open the application again from UCloud.")


def ended() -> Page:
    """Return the answer for a job that is over."""
    return Page(410, "The job has ended", "Its application is no longer there. Start a new job in UCloud.")


def not_ready(why: str) -> Page:
    """Return the answer for an application that may soon be there."""
    text = f"{why[:1].upper()}{why[1:]}. This page tries again by itself."
    return Page(503, "The application is not ready yet", text, retry=True)


def full() -> Page:
    """Return the answer where there is no room for a further connection."""
    text = "As many connections are open as the site allows. Try again in a moment."
    return Page(503, "There is no room just now", text, retry=True)


def too_many_of_client() -> Page:
    """Return the answer to a client that has too many connections."""
    return refused(429, "there are as many connections from this address as the site allows")


def failed(why: str) -> Page:
    """Return the answer for an application that did not answer as it should."""
    return Page(502, "The application did not answer", f"{why[:1].upper()}{why[1:]}.")
