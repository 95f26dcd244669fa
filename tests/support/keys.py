"""Keys and certificates for mutual TLS."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from slurm_provider.config.sections import Tls

Identity = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def key_pair(folder: Path, name: str, authority: Identity | None, host: str = "localhost") -> Identity:
    """Make a key and a certificate for a host, signed by the authority or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority[0].subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(authority[1] if authority else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (folder / f"{name}.key").chmod(0o644)
    return certificate, key


def tls_of(folder: Path, name: str, ca: str = "ca") -> Tls:
    """Return the TLS section of one end."""
    return Tls(
        certificate_file=folder / f"{name}.crt", key_file=folder / f"{name}.key", ca_file=folder / f"{ca}.crt"
    )
