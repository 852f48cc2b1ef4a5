"""A PostgreSQL that plays the source on-premises: under a name of its own, signed by an authority of its own.

with running() as cloud, on_premises(cloud.state_directory, "payments.corp.internal") as source:
    secret = json.dumps(source.secret())
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pg8000.native import identifier, literal

from builders.cloud.ec2.name_map import named
from builders.cloud.rds import postgres

LIFETIME = datetime.timedelta(days=30)


@dataclass(frozen=True)
class OnPremises:
    """The source as a phase knows it."""

    host: str
    port: int
    database_name: str
    username: str
    password: str
    certificate_pem: str
    server: postgres.Server

    def secret(self) -> dict[str, str | int]:
        """The value of the secret that the user brings."""
        return {"username": self.username, "password": self.password, "host": self.host, "port": self.port}


@contextlib.contextmanager
def on_premises(
    state_directory: Path, host: str, *, port: int = 5432, database_name: str = "payments"
) -> Iterator[OnPremises]:
    """Run the server while the context lasts. Functions of the embedded cloud at `state_directory` reach it as `host`.

    Raises `CloudError` where there is no PostgreSQL, or it does not start.
    """
    password = secrets.token_urlsafe()
    directory = Path(tempfile.mkdtemp(prefix="stackferry-on-premises-"))
    directory.chmod(0o711)  # PostgreSQL runs as another user when we are root
    authority, certificate = _certificates(host)
    # What is committed is written at once: changes are read from what is written.
    settings = {"wal_level": "logical", "synchronous_commit": "on"}
    server = postgres.Server(postgres.choose(), directory / "server", certificate, settings=settings)
    try:
        server.initialise()
        server.start()
        server.administer(
            f"CREATE ROLE ferry_source LOGIN REPLICATION PASSWORD {literal(password)}",
            f"CREATE DATABASE {identifier(database_name)} OWNER ferry_source",
        )
        with named(state_directory, host, {port: server.port}):
            yield OnPremises(host, port, database_name, "ferry_source", password, authority, server)
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


def _certificates(host: str) -> tuple[str, postgres.Certificate]:
    """The authority's certificate, and one that it has signed for the host."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _unsigned("On-premises authority", key, "On-premises authority")
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    server = _unsigned(host, server_key, "On-premises authority")
    server = server.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    private = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _pem(authority.sign(key, hashes.SHA256())), postgres.Certificate(
        _pem(server.sign(key, hashes.SHA256())), private.decode()
    )


def _unsigned(subject: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
