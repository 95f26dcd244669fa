"""SSH public keys of users, reduced to what may stand in an authorized_keys file."""

import base64
import binascii
import re

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
LONGEST_BYTES = 8192
_LENGTH_BYTES = 4


class KeyRefused(ValueError):
    """A key that is not taken; the text says why."""


def checked_key(text: str) -> str:
    """Return `TYPE BASE64` of a public key; raise KeyRefused for anything else.

    What a user writes around the key is lost: options in front of it, its comment, further lines. So
    no key can say more in authorized_keys than that its owner may log in.
    """
    line = text.strip(" \t\r\n")
    if not line.isascii() or not line.isprintable() or len(line) > LONGEST_BYTES:
        raise KeyRefused("a key is one line of printable ASCII, of at most 8192 characters")
    kind, _, rest = line.partition(" ")
    if kind not in KEY_TYPES:
        raise KeyRefused(f"a key begins with its type, one of {', '.join(KEY_TYPES)}")
    encoded = rest.strip().partition(" ")[0]
    if not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", encoded):
        raise KeyRefused("the key is not base64")
    try:
        fields = _fields(base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        raise KeyRefused("the key is not base64") from error
    if len(fields) < 2 or fields[0] != kind.encode() or not all(fields):
        raise KeyRefused(f"the key is not of the type {kind} that it begins with")
    return f"{kind} {encoded}"


def _fields(blob: bytes) -> list[bytes]:
    """Return the fields of a key (RFC 4253, 6.6), each with its length in front of it."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:_LENGTH_BYTES], "big")
        field, blob = blob[_LENGTH_BYTES : _LENGTH_BYTES + length], blob[_LENGTH_BYTES + length :]
        if len(field) != length:
            raise KeyRefused("the key is cut off")
        fields.append(field)
    return fields
