"""Cookies: ours, which the application never sees, and the application's, which reach nobody else."""

import re
from collections.abc import Iterable

SECURE_NAME = b"__Host-ucloud-session"
"""A browser takes a cookie of this name only over https, for the very host that sets it."""
PLAIN_NAME = b"ucloud-session"
_OURS = (SECURE_NAME.lower(), PLAIN_NAME.lower())
MOST_SECRETS = 3
"""A browser has one, perhaps one more of an earlier user: nobody needs more of them looked up."""
_SECRET = re.compile(rb"[A-Za-z0-9_-]{43}")
_DOMAIN = re.compile(rb";[ \t]*domain[ \t]*(=[^;]*)?(?=;|$)", re.IGNORECASE)

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def our_cookie(secret: str, lifetime_seconds: int, *, https: bool) -> bytes:
    """Return the value of Set-Cookie by which a browser is let in from now on."""
    name = SECURE_NAME if https else PLAIN_NAME
    secure = b"; Secure" if https else b""
    value = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax"
    return value % (name, secret.encode("ascii"), lifetime_seconds) + secure


def secrets_in(values: list[bytes], *, https: bool) -> list[str]:
    """Return what Cookie headers hold under our name, as far as it can be a secret of ours."""
    wanted = SECURE_NAME if https else PLAIN_NAME
    pairs = (_pair(text) for value in values for text in value.split(b";"))
    return proper(value for name, value in pairs if name == wanted)


def proper(values: Iterable[bytes]) -> list[str]:
    """Return the first few of these that have the form of our secrets."""
    return [value.decode("ascii") for value in values if _SECRET.fullmatch(value)][:MOST_SECRETS]


def without_ours(value: bytes) -> bytes:
    """Return a Cookie header without our cookie; b"" when nothing else is in it."""
    kept = [text for text in value.split(b";") if text.strip() and not _is_ours(text)]
    return b";".join(kept).strip()


def confined(value: bytes) -> bytes | None:
    """Return an application's Set-Cookie without its Domain.

    None for one that would replace ours, or that not every browser reads in the same way.
    """
    return None if _is_ours(value) or _CONTROL.search(value) else _DOMAIN.sub(b"", value)


def _is_ours(text: bytes) -> bool:
    # A cookie without a name is sent back as its value alone, which may look like ours.
    return _pair(text.lstrip(b" \t="))[0].lower() in _OURS


def _pair(text: bytes) -> tuple[bytes, bytes]:
    name, _, value = text.partition(b";")[0].partition(b"=")
    return name.strip(), value.strip()
