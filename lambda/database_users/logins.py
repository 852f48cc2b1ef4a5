"""Logging in to the target database with secrets whose passwords may be changing at this moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import transport
from credentials import Credentials
from custom_resource import ResourceFailed
from deadline import Deadline
from postgres_connection import VerifiedConnection
from postgres_login import WRONG_PASSWORD, PostgresRefused, login
from rotating_secret import RotatingSecret, rounds

_APPLICATION = "stackferry-database-users"

_ADVICE = {
    "28P01": "the secret's password is not the role's: let the rotation of the master user's password finish",
    "28000": "pg_hba.conf or NOLOGIN refuses this user",
    "3D000": "the database is not there: DatabaseName is fixed once the instance is made",
    "42501": "the master user may not: as the owner of the object, or as whoever made the role, grant it or drop it, "
    "or make the master user a member of the owner (GRANT owner TO master) and deploy again",
    "53300": "no connection is free: raise max_connections or end some",
    "55P03": "another session holds a lock: deploy again",
    "57P03": "the server is starting or stopping: deploy again",
}


class UserNotMade(ResourceFailed):
    """The role is not as DMS needs it; nothing was changed, or the message says all that was changed."""


@contextmanager
def as_master(secret: RotatingSecret, deadline: Deadline) -> Iterator[VerifiedConnection]:
    """Log in as the master user, and hang up at the end; waits for a rotation that is under way.

    Raises UserNotMade for what the server refuses, also within the context, or an error of the login's.
    """
    try:
        with ExitStack() as stack:
            yield _enter(stack, secret, deadline)
    except PostgresRefused as error:
        advice = _ADVICE.get(error.sqlstate, "nothing was changed")
        raise UserNotMade(f"the master user in database {secret.database}: {error}: {advice}") from error


def logs_in(credentials: Credentials, deadline: Deadline) -> bool:
    """Return whether the password is the role's. Raises UserNotMade where the server refuses for another reason."""
    try:
        with _session(credentials, deadline):
            return True
    except PostgresRefused as error:
        if error.sqlstate == WRONG_PASSWORD:
            return False
        raise UserNotMade(f"DMS's user cannot log in: {error}") from error


def _enter(stack: ExitStack, secret: RotatingSecret, deadline: Deadline) -> VerifiedConnection:
    """The first session that opens; raises the last refusal once the time for waiting is up."""
    for _ in rounds(deadline):
        for credentials in secret.candidates():
            try:
                return stack.enter_context(_session(credentials, deadline))
            except PostgresRefused as error:
                if error.sqlstate != WRONG_PASSWORD:
                    raise
                refusal = error
    raise refusal


@contextmanager
def _session(credentials: Credentials, deadline: Deadline) -> Iterator[VerifiedConnection]:
    socket = transport.open_tls(credentials.host, credentials.port, deadline)
    try:
        with login(socket, credentials, deadline, _APPLICATION) as connection:
            yield connection
    finally:
        socket.close()
