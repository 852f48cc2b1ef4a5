"""Logging in to PostgreSQL, and changing the password of the role that is logged in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import scram
import transport
from credentials import Credentials
from deadline import Deadline
from function_errors import AuthenticationUnsafe, Unreachable
from postgres_connection import VerifiedConnection
from postgres_driver import DatabaseError, InterfaceError, ScramException, literal
from rotation_errors import DatabaseRefused, RotationBusy, WrongPassword

_LOCK_MILLISECONDS = 3_000


class Session:
    """A login that has succeeded."""

    def __init__(self, connection: VerifiedConnection, credentials: Credentials) -> None:
        self._connection = connection
        self._credentials = credentials

    def change_password(self, password: str, still_wanted: Callable[[], None]) -> None:
        """Set the role's own password; the last moment to object is `still_wanted`, which raises to undo it.

        It happens in a transaction under a lock, so that neither a crash, nor a packet that arrives late, nor a second
        invocation can set an older password over a newer one: the server itself rolls back when this session ends or
        is silent past its own deadline.
        """
        with _named_errors(self._credentials):
            rows = self._connection.run(f"BEGIN READ WRITE; SELECT pg_try_advisory_xact_lock({self._lock_key()})")
            if rows != [[True]]:
                raise RotationBusy(
                    "another invocation is changing this password now: nothing was changed; it will be tried again. "
                    "If none is, pg_locks names the session that holds this advisory lock: end it"
                )
            # SESSION_USER is the role of the login, so that no name has to be quoted.
            self._connection.run(f"ALTER ROLE SESSION_USER PASSWORD {literal(scram.verifier(password))}")
            still_wanted()
            self._connection.run("COMMIT")

    def _lock_key(self) -> int:
        """Advisory locks share one number space per database: a hash keeps clear of an application's small numbers."""
        digest = hashlib.sha256(b"stackferry rotation " + self._credentials.username.encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


class Database:
    """Database in which the secret's versions are tried."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    @contextmanager
    def login(self, credentials: Credentials) -> Iterator[Session]:
        """Log in over verified TLS; raises WrongPassword for 28P01 and a named error for anything else."""
        socket = transport.open_tls(credentials.host, credentials.port, self._deadline)
        try:
            with _named_errors(credentials):
                connection = VerifiedConnection(
                    user=credentials.username,
                    password=credentials.password,
                    database=credentials.dbname,
                    sock=socket,
                    ssl_context=False,  # The socket is encrypted and verified already.
                    application_name="stackferry-rotation",
                    startup_params=self._settings(),
                )
            try:
                yield Session(connection, credentials)
            finally:
                connection.close()
        finally:
            socket.close()

    def _settings(self) -> dict[str, str]:
        """Settings of the startup packet; they outrank what the role or the database sets ("Setting Parameters")."""
        milliseconds = str(int(self._deadline.remaining(transport.READ_SECONDS) * 1000))
        return {
            "client_encoding": "UTF8",
            "default_transaction_read_only": "off",
            # A session that outlives this invocation must not commit after it.
            "idle_in_transaction_session_timeout": milliseconds,
            "lock_timeout": str(_LOCK_MILLISECONDS),
            "role": "none",
            "search_path": "pg_catalog",
            "statement_timeout": milliseconds,
            "synchronous_commit": "on",
        }


@contextmanager
def _named_errors(credentials: Credentials) -> Iterator[None]:
    """The driver's errors under our names."""
    try:
        yield
    except DatabaseError as error:
        fields = error.args[0]
        sqlstate, message = fields.get("C", "?????"), credentials.withheld_from(fields.get("M", ""))
        if sqlstate == "28P01":
            raise WrongPassword(f"the password was refused with SQLSTATE 28P01 ({message})") from error
        raise DatabaseRefused(sqlstate, message) from error
    except ScramException as error:
        raise AuthenticationUnsafe("the server did not prove that it knows the password") from error
    except TimeoutError as error:
        raise Unreachable(
            "the database stopped answering: the last statement may or may not have taken effect"
        ) from error
    except (InterfaceError, OSError) as error:
        raise Unreachable(f"the connection to the database broke ({error})") from error
