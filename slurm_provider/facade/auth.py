"""Core's token: an RS256 JWT under the key that Core keeps for this provider alone."""

import base64
import binascii
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from fastapi import Depends, Header
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from slurm_provider.facade.errors import Refused, refusal

LEEWAY_SECONDS = 30

documented = HTTPBearer(auto_error=False, description="Core's token: RS256, subject `_UCloud`, role SERVICE")
"""Shows in OpenAPI that a call takes Core's token; what checks it is OnlyCore."""


def load_public_key(text: str) -> RSAPublicKey:
    """Return Core's key from PEM, or from base64 DER on one line as Core shows it; raise ValueError else."""
    try:
        pem = "-----BEGIN" in text
        key = load_pem_public_key(text.encode()) if pem else load_der_public_key(base64.b64decode(text))
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"not a public key in PEM or base64 DER: {error}") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


class CoreToken:
    """Checks Core's tokens."""

    def __init__(self, key: RSAPublicKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer

    def check(self, token: str) -> None:
        """Raise Refused (401) for a token that is not Core's own, valid now and meant for a service."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=["RS256"],
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )
        except jwt.PyJWTError as error:
            raise Refused(401, f"the token is not valid: {error}") from error
        if claims["sub"] != "_UCloud":
            raise Refused(401, f"the token is not Core's: its subject is '{claims['sub']}'")
        if claims.get("role") != "SERVICE":
            raise Refused(401, f"the token is no service's: its role is '{claims.get('role')}'")


class OnlyCore:
    """Lets only Core make UCloud's calls. Nobody else's body is read, let alone understood."""

    def __init__(self, app: ASGIApp, token: CoreToken) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 401."""
        if scope["type"] == "http" and scope["path"].startswith("/ucloud/"):
            try:
                self._token.check(bearer(Headers(scope=scope)))
            except Refused as error:
                await refusal(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def bearer(headers: Headers) -> str:
    """Return the token that comes with a request; raise Refused (401) when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "the call has no 'Authorization: Bearer' token")
    return token.strip()


async def acting_user(
    ucloud_username: Annotated[
        str | None, Header(description="base64 of the UCloud user on whose behalf Core calls")
    ] = None,
) -> str | None:
    """Return who clicked, for messages only: whose job it is comes from the job's row."""
    try:
        return base64.b64decode(ucloud_username or "", validate=True).decode() or None
    except ValueError:
        return None


ActingUser = Annotated[str | None, Depends(acting_user)]
