"""Destinations of DMS: databases, into which it logs in, and AWS's endpoints."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import transport
from advice import ADVICE
from credentials import Credentials, field
from deadline import Deadline
from function_errors import AuthenticationUnsafe, FunctionError, OutOfTime
from postgres_login import PostgresLost, PostgresRefused, login
from secret_value import SecretUnreadable
from way import StepFailed, Way, ask_for_tls, connect, encrypt

HTTPS = 443
KEYS_OF_A_SECRET = ("username", "password", "host", "port")
"""The keys that DMS reads (DMS user guide, "Using secrets to access Database Migration Service endpoints")."""

_CURED_BY_TIME = ("53", "57")
"""Classes of errors: insufficient resources, and intervention of an operator, such as a failover (PostgreSQL manual,
"PostgreSQL Error Codes")."""

ReadSecret = Callable[[str], str]
"""An ARN to the secret's text."""


@dataclass(frozen=True)
class Endpoint:
    """An interface endpoint of AWS, under the service's usual name."""

    way: Way

    def reach(self, deadline: Deadline) -> str:
        """Go there; return what was found. Raises StepFailed."""
        context = transport.tls_context(os.environ.get("CA_BUNDLE"))
        with connect(self.way, deadline) as plain, encrypt(self.way, plain, context, deadline) as encrypted:
            return f"{self.way}: {encrypted.version()}"


@dataclass(frozen=True)
class Database:
    """A PostgreSQL, with the properties of the custom resource that tell how to log in to it."""

    way: Way
    properties: Mapping[str, Any]
    read_secret: ReadSecret

    def reach(self, deadline: Deadline) -> str:
        """Log in; return what was found. Raises ResourceFailed."""
        credentials = self._credentials()
        if not self.way.port:
            return replace(self, way=replace(self.way, port=credentials.port)).reach(deadline)
        context = self._context()
        with connect(self.way, deadline) as plain:
            ask_for_tls(self.way, plain, deadline)
            with encrypt(self.way, plain, context, deadline) as encrypted:
                return f"{self.way}: {encrypted.version()}, PostgreSQL {self._log_in(encrypted, credentials, deadline)}"

    def _credentials(self) -> Credentials:
        """Return those of the secret, once it agrees with the parameters: DMS itself knows only the secret."""
        try:
            text = self.read_secret(self.properties["SecretArn"])
        except SecretUnreadable as error:
            raise SecretUnreadable(f"{self.way}, secret: {error}", is_final=error.is_final) from error
        try:
            credentials = Credentials.parse(text)
        except FunctionError as error:
            raise self._failed("secret", str(error), "secret", is_final=True) from None
        missing = [key for key in KEYS_OF_A_SECRET if field(text, key) is None]
        if missing:
            raise self._failed("secret", f"the secret lacks {', '.join(missing)}", "secret", is_final=True)
        for name, ours, theirs in (
            ("host", self.way.host.lower(), credentials.host.lower()),
            ("port", self.way.port or credentials.port, credentials.port),
        ):
            if ours != theirs:
                raise self._failed("secret", f"the secret's {name} is another", "secret", is_final=True)
        return replace(credentials, dbname=self.properties["DatabaseName"])

    def _context(self) -> ssl.SSLContext:
        if self.way.role == "target":
            return transport.rds_context()
        if self.properties["SslMode"] == "require":
            return transport.encrypting()
        try:
            if not self.properties["CertificatePem"]:
                raise ValueError("it is empty")
            return transport.tls_context(pem=self.properties["CertificatePem"])
        except (ssl.SSLError, ValueError) as error:
            what = f"the authority's certificate cannot be read ({error})"
            raise self._failed("TLS", what, "authority", is_final=True) from error

    def _log_in(self, encrypted: ssl.SSLSocket, credentials: Credentials, deadline: Deadline) -> str:
        try:
            with login(encrypted, credentials, deadline, "stackferry-connectivity") as connection:
                [[version]] = connection.run("SELECT current_setting('server_version')")
                return str(version)
        except PostgresRefused as error:
            cause = error.sqlstate if (self.way.role, error.sqlstate) in ADVICE else "login"
            is_final = not error.sqlstate.startswith(_CURED_BY_TIME)
            raise self._failed("log in", str(error), cause, is_final=is_final) from error
        except PostgresLost as error:
            raise self._failed("log in", str(error), "login") from error
        except OutOfTime:
            raise self._failed("log in", "no answer in time", "login") from None
        except AuthenticationUnsafe as error:
            raise self._failed("log in", str(error), "28000", is_final=True) from error

    def _failed(self, step: str, what: str, cause: str, *, is_final: bool = False) -> StepFailed:
        return StepFailed(self.way, step, what, cause, is_final=is_final)
