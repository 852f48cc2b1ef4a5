"""A login to PostgreSQL over a socket that is encrypted already, and PostgreSQL's refusals by name."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from credentials import Credentials
from custom_resource import ResourceFailed
from deadline import Deadline
from postgres_connection import VerifiedConnection
from postgres_driver import DatabaseError, InterfaceError, ScramException

WRONG_PASSWORD = "28P01"  # noqa: S105 an SQLSTATE: wrong password, no such role, or past its VALID UNTIL
STATEMENT_SECONDS = 30.0


class PostgresRefused(ResourceFailed):
    """The server answered with an error."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"PostgreSQL refused with SQLSTATE {sqlstate} ({message})")
        self.sqlstate = sqlstate


class PostgresLost(ResourceFailed):
    """The connection broke, or the server stopped answering or did not prove that it knows the password."""


@contextmanager
def login(
    socket: ssl.SSLSocket, credentials: Credentials, deadline: Deadline, application_name: str
) -> Iterator[VerifiedConnection]:
    """Log in, and hang up at the end; the socket stays the caller's.

    Raises PostgresRefused, PostgresLost, or AuthenticationUnsafe where the server asks for the clear password or for
    none; so does whatever runs on the connection within the context.
    """
    milliseconds = str(int(deadline.remaining(STATEMENT_SECONDS) * 1000))
    with _named_errors(credentials):
        connection = VerifiedConnection(
            user=credentials.username,
            password=credentials.password,
            database=credentials.dbname,
            sock=socket,
            ssl_context=False,
            application_name=application_name,
            # In the startup packet they outrank what role and database set.
            startup_params={
                "client_encoding": "UTF8",
                "default_transaction_read_only": "off",
                "idle_in_transaction_session_timeout": milliseconds,
                "role": "none",
                "search_path": "pg_catalog",
                "statement_timeout": milliseconds,
            },
        )
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _named_errors(credentials: Credentials) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        fields = error.args[0]
        raise PostgresRefused(str(fields.get("C")), credentials.withheld_from(str(fields.get("M")))) from error
    except ScramException as error:
        raise PostgresLost("the server did not prove that it knows the password") from error
    except (InterfaceError, OSError) as error:
        told = "it stopped answering" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        raise PostgresLost(f"the connection to the database broke ({told})") from error
