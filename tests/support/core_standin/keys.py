"""The keys and tokens of Core: one RSA key for the provider, one for the users of the portal."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from .wire import CoreError, JsonObject

LIFE_SECONDS = 600
ISSUER = "cloud.sdu.dk"


class Keys:
    """Keys and the refresh token, made at the first start and kept in the state directory.

    `provider.pub` holds the provider's public key as Core shows it at registration: base64 of the
    SubjectPublicKeyInfo DER, one line, no armour. `refresh-token` holds the refresh token.
    """

    def __init__(self, directory: Path, provider_id: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.provider_id = provider_id
        self._provider = _load_or_make(directory / "provider.key")
        self._users = _load_or_make(directory / "users.key")
        self._wrong = generate_private_key(public_exponent=65537, key_size=2048)
        self.public_der = _public_der(self._provider)
        (directory / "provider.pub").write_text(base64.b64encode(self.public_der).decode() + "\n")
        self.refresh_token = _refresh_token(directory / "refresh-token")

    def service_token(self) -> str:
        """What Core sends to the provider."""
        return jwt.encode(self.service_claims(), self._provider, "RS256")

    def service_claims(self) -> JsonObject:
        """The claims of a Core-to-provider token issued now."""
        return _claims("_UCloud", "SERVICE", "service")

    def provider_token(self) -> str:
        """What the provider gets for its refresh token."""
        return jwt.encode(_claims(f"#P_{self.provider_id}", "PROVIDER", "provider"), self._provider, "RS256")

    def user_token(self, username: str, project: str | None) -> str:
        """What a user of the portal holds."""
        return jwt.encode(_claims(username, "USER", "password") | {"project": project}, self._users, "RS256")

    def check_provider(self, authorization: str | None) -> None:
        """Accept the provider's own token only; everybody else is a guest, and forbidden."""
        try:
            claims = self._decode(authorization, self._provider)
        except jwt.InvalidTokenError as error:
            raise CoreError(403, "Forbidden") from error
        if claims.get("role") != "PROVIDER" or claims.get("sub") != f"#P_{self.provider_id}":
            raise CoreError(403, "Forbidden")

    def user_of(self, authorization: str | None) -> JsonObject:
        """The claims of a user's token; 401 without a good one."""
        try:
            claims = self._decode(authorization, self._users)
        except jwt.InvalidTokenError as error:
            raise CoreError(401, "Unauthorized") from error
        if claims.get("role") != "USER":
            raise CoreError(401, "Unauthorized")
        return claims

    def sign(self, claims: JsonObject, algorithm: str = "RS256", key: str | None = None) -> str:
        """A token that may be wrong: any claims over the usual ones (null removes one), any algorithm.

        `key="wrong"` signs with a key nobody knows; HS256 signs with the public key as if it were a secret.
        """
        merged = {k: v for k, v in (self.service_claims() | claims).items() if v is not None}
        if algorithm == "HS256":
            return _hmac_token(merged, self._public_pem())
        if algorithm == "none":
            return jwt.encode(merged, "", "none")
        return jwt.encode(merged, self._wrong if key == "wrong" else self._provider, algorithm)

    def _public_pem(self) -> bytes:
        return self._provider.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @staticmethod
    def _decode(authorization: str | None, key: RSAPrivateKey) -> JsonObject:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError("no bearer token")
        return jwt.decode(token, key.public_key(), ["RS256"], audience="all:write", issuer=ISSUER)


def _claims(subject: str, role: str, principal_type: str) -> JsonObject:
    issued_at = int(time.time())
    return {
        "sub": subject,
        "role": role,
        "principalType": principal_type,
        "iss": ISSUER,
        "aud": ["all:write"],
        "iat": issued_at,
        "exp": issued_at + LIFE_SECONDS,
    }


def _load_or_make(path: Path) -> RSAPrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError(f"{path} holds no RSA key")
        return key
    key = generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    return key


def _public_der(key: RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _refresh_token(path: Path) -> str:
    if not path.exists():
        path.write_text(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def _hmac_token(claims: JsonObject, secret: bytes) -> str:
    head, payload = (
        _base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    )
    signature = hmac.new(secret, f"{head}.{payload}".encode(), hashlib.sha256).digest()
    return f"{head}.{payload}.{_base64url(signature)}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
