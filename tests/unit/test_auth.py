"""Core's token: only Core's own, valid now and meant for a service, is let in."""

import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from slurm_provider.facade.auth import LEEWAY_SECONDS, CoreToken, acting_user, load_public_key
from slurm_provider.facade.errors import Refused
from tests.support.core_standin.keys import Keys

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def _now(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims with each time that is given from now as the epoch second that it is at this moment."""
    return {
        name: int(time.time() + value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"), "example")


@pytest.fixture(scope="module")
def check(keys: Keys) -> CoreToken:
    public = load_public_key(base64.b64encode(keys.public_der).decode())
    return CoreToken(public, "cloud.sdu.dk")


@pytest.mark.parametrize(
    "text",
    [
        PEM.decode(),
        f"\n{PEM.decode()}\n",
        base64.b64encode(DER).decode(),
        base64.b64encode(DER).decode() + "\n",
        base64.encodebytes(DER).decode(),
    ],
    ids=["PEM", "PEM with blank lines", "DER on one line", "DER and a line end", "DER on several lines"],
)
def test_cores_key_is_read_in_either_form(text: str) -> None:
    assert load_public_key(text).public_numbers() == KEY.public_key().public_numbers()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        base64.b64encode(b"no key").decode(),
        base64.b64encode(DER[:-5]).decode(),
        PEM.decode().replace("M", "N", 1),
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    ],
    ids=[
        "nothing",
        "words",
        "base64 of words",
        "a part of a key",
        "a damaged PEM",
        "no RSA",
        "a private key",
    ],
)
def test_what_is_no_public_rsa_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an? (public|RSA) key"):
        load_public_key(text)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": None},
        {"iat": None},
        {"exp": timedelta(minutes=15), "uid": 1, "extendedByChain": []},
        {"exp": timedelta(seconds=10 - LEEWAY_SECONDS)},
        {"iat": timedelta(seconds=LEEWAY_SECONDS - 10)},
    ],
)
def test_cores_token_is_taken_in_the_form_of_either_era(
    check: CoreToken, keys: Keys, claims: dict[str, Any]
) -> None:
    check.check(keys.sign(_now(claims)))


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": timedelta(seconds=-LEEWAY_SECONDS - 10)}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "(?i)exp"),
        ({"nbf": timedelta(hours=1)}, "not yet valid"),
        ({"iss": "cloud.example"}, "(?i)issuer"),
        ({"iss": None}, "iss"),
        ({"sub": "_ucloud"}, "'_ucloud'"),
        ({"sub": "_UCloud "}, "'_UCloud '"),
        ({"sub": "#P_example"}, "'#P_example'"),
        ({"sub": "user"}, "'user'"),
        ({"sub": ""}, "subject"),
        ({"sub": 5}, "(?i)subject"),
        ({"sub": None}, "sub"),
        ({"role": "USER"}, "'USER'"),
        ({"role": "ADMIN"}, "'ADMIN'"),
        ({"role": "service"}, "'service'"),
        ({"role": ["SERVICE"]}, "role"),
        ({"role": None}, "role"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_in_words(
    check: CoreToken, keys: Keys, claims: dict[str, Any], words: str
) -> None:
    _refused(check, keys.sign(_now(claims)), words)


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS384", "RS512", "PS256"])
def test_a_token_under_another_algorithm_is_refused(check: CoreToken, keys: Keys, algorithm: str) -> None:
    _refused(check, keys.sign({}, algorithm), "not valid")


def test_a_token_under_another_key_is_refused(check: CoreToken, keys: Keys, tmp_path: Path) -> None:
    _refused(check, keys.sign({}, key="wrong"), "not valid")
    _refused(check, Keys(tmp_path, "other").service_token(), "not valid")


def test_our_own_token_is_no_token_of_core(check: CoreToken, keys: Keys) -> None:
    _refused(check, keys.provider_token(), "#P_example")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "\0", "é.é.é"])
def test_what_is_no_token_is_refused(check: CoreToken, token: str) -> None:
    _refused(check, token, "not valid")


def test_a_token_whose_claims_were_changed_is_refused(check: CoreToken, keys: Keys) -> None:
    head, _, signature = keys.sign({}).split(".")
    _, claims, _ = keys.sign(_now({"exp": timedelta(days=10)})).split(".")
    _refused(check, f"{head}.{claims}.{signature}", "not valid")


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("dXNlcg==", "user"),
        (base64.b64encode("Bøb Ä#1".encode()).decode(), "Bøb Ä#1"),
        (None, None),
        ("", None),
        ("dXNlcg", None),
        ("***", None),
        ("/w==", None),
    ],
)
async def test_who_clicked_is_nobody_where_the_header_cannot_be_read(
    header: str | None, user: str | None
) -> None:
    assert await acting_user(header) == user


def _refused(check: CoreToken, token: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        check.check(token)
    assert refusal.value.status == 401
    assert refusal.value.why
