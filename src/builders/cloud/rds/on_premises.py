"""A PostgreSQL that plays the source on-premises: under a name of its own, signed by an authority of its own.

with running() as cloud, on_premises(cloud.state_directory, "payments.corp.internal") as source:
    secret = json.dumps(source.secret())

`python -m builders.cloud.rds.on_premises --state-dir DIR` runs one for an embedded cloud that is a process of its own.

Its superuser `postgres` has no password: the user of this machine who runs us is let in as it, through the socket of
the server's own directory. The role `app`
owns the database, as an application's role does; `ferry_source` is DMS's user, with what DMS needs there before any
schema is made. As `ferry_fallback` DMS writes after a cut-over, as a replica: no trigger and no foreign key acts on it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import ipaddress
import json
import secrets
import shutil
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from builders import command_line, start
from builders.errors import CloudError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    from pg8000.native import identifier, literal

    from builders.cloud.ec2.name_map import named
    from builders.cloud.rds import postgres
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(command_line.missing("builders.cloud.rds.on_premises", error))

LIFETIME = datetime.timedelta(days=30)

APPLICATION = "app"
"""The role of the application, which owns the database."""

SUPERUSER = "postgres"
"""The superuser. Not the one that initdb makes: what that one owns can be given to nobody (REASSIGN OWNED)."""

REPLICATION_USER = "ferry_source"
"""The user by which DMS reads."""

FALLBACK_USER = "ferry_fallback"
"""The user by which DMS writes on the way back."""


@dataclass(frozen=True)
class OnPremises:
    """The source as a phase knows it."""

    host: str
    port: int
    database_name: str
    username: str
    password: str = field(repr=False)
    certificate_pem: str = field(repr=False)
    server: postgres.Server
    application_password: str = field(repr=False)
    fallback_password: str = field(repr=False)
    authority_file: Path
    """The authority's certificate, for clients on this machine."""

    @property
    def application_url(self) -> str:
        """The database for any client on this machine, as the role of the application: a URL with the password.

        The server's certificate names localhost too, since nothing here resolves the name that it has on-premises.
        """
        trusted = urllib.parse.urlencode({"sslmode": "verify-full", "sslrootcert": str(self.authority_file)}, safe="/")
        name = urllib.parse.quote(self.database_name, safe="")
        login = f"{APPLICATION}:{self.application_password}"
        return f"postgresql://{login}@localhost:{self.server.port}/{name}?{trusted}"

    def administer(self, *statements: str) -> None:
        """Run statements in the database as the administrator."""
        self.server.administer(*statements, database=self.database_name)

    def secret(self) -> dict[str, str | int]:
        """The value of the secret that the user brings."""
        return {"username": self.username, "password": self.password, "host": self.host, "port": self.port}

    def fallback_secret(self) -> dict[str, str | int]:
        """The value of the secret that the user brings for the way back."""
        return self.secret() | {"username": FALLBACK_USER, "password": self.fallback_password}


@contextlib.contextmanager
def on_premises(
    state_directory: Path, host: str, *, port: int = 5432, database_name: str = "payments"
) -> Iterator[OnPremises]:
    """Run the server while the context lasts. Functions of the embedded cloud at `state_directory` reach it as `host`.

    Raises `CloudError` where there is no PostgreSQL, or it does not start.
    """
    password, application_password, fallback_password = (secrets.token_urlsafe() for _ in range(3))
    directory = Path(tempfile.mkdtemp(prefix="stackferry-on-premises-"))
    postgres.let_through(directory)
    authority, certificate = certificates(host)
    authority_file = directory / "authority.pem"
    authority_file.write_text(authority)
    # What is committed is written at once: changes are read from what is written.
    settings = {"wal_level": "logical", "synchronous_commit": "on"}
    server = postgres.Server(postgres.choose(), directory / "server", certificate, settings=settings)
    try:
        server.initialise()
        server.start()
        server.let_us_in(SUPERUSER)
        server.administer(
            f"CREATE ROLE {SUPERUSER} LOGIN SUPERUSER",
            f"CREATE ROLE {APPLICATION} LOGIN PASSWORD {literal(application_password)}",
            f"CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD {literal(password)}",
            f"CREATE ROLE {FALLBACK_USER} LOGIN PASSWORD {literal(fallback_password)}",
            f"ALTER ROLE {FALLBACK_USER} SET session_replication_role = replica",
            f"CREATE DATABASE {identifier(database_name)} OWNER {APPLICATION}",
        )
        # The table of the heartbeat goes there (DMS user guide, "Using a PostgreSQL database as an AWS DMS source").
        heartbeat = f"GRANT CREATE, USAGE ON SCHEMA public TO {REPLICATION_USER}"
        server.administer(heartbeat, database=database_name)
        with named(state_directory, host, {port: server.port}):
            yield OnPremises(
                *(host, port, database_name, REPLICATION_USER, password, authority, server),
                *(application_password, fallback_password, authority_file),
            )
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


def certificates(host: str) -> tuple[str, postgres.Certificate]:
    """The authority's certificate, and one that it has signed for the host."""
    key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _unsigned("On-premises authority", key, "On-premises authority")
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    server = _unsigned(host, server_key, "On-premises authority")
    names = [x509.DNSName(host), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = server.add_extension(x509.SubjectAlternativeName(names), critical=False)
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


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGTERM or Ctrl-C, and print how to reach it.

    Return 0, or 2 after one line on stderr when it cannot start.
    """
    parser = argparse.ArgumentParser(
        prog="python -m builders.cloud.rds.on_premises",
        description="A PostgreSQL that plays the source on-premises for the embedded cloud on --state-dir, until "
        "Ctrl-C. Prints one line of JSON: the values of DMS's two secrets, the certificate of the authority, and the "
        "URL of the database, for clients on this machine.",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="the --state-dir of the embedded cloud")
    parser.add_argument("--host", default="payments.corp.internal", help="its name on-premises (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5432, help="its port on-premises (default: %(default)s)")
    parser.add_argument("--database-name", default="payments", help="the database that is made (default: %(default)s)")

    def work() -> None:
        options = parser.parse_args(arguments)
        if not (options.state_dir / "ca.pem").exists():
            raise CloudError(f"{options.state_dir} is not the state directory of an embedded cloud; start that first")
        name, port = options.database_name, options.port
        start.take_signals()
        with (
            contextlib.suppress(KeyboardInterrupt),
            on_premises(options.state_dir, options.host, port=port, database_name=name) as source,
        ):
            values = {
                "secret": source.secret(),
                "fallback_secret": source.fallback_secret(),
                "certificate_pem": source.certificate_pem,
                "application_url": source.application_url,
            }
            print(json.dumps(values), flush=True)
            signal.pause()

    stopped = "the server has stopped"
    return command_line.run("builders.cloud.rds.on_premises", work, interrupted=stopped, wrong_use=(CloudError,))


if __name__ == "__main__":
    sys.exit(main())
