"""pg8000's connection, made to prove both sides before anything is believed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import scram
from function_errors import AuthenticationUnsafe, FunctionError
from postgres_driver import Connection, InterfaceError

# Kinds of AuthenticationRequest (PostgreSQL, "Message Formats").
_OK, _CLEAR_PASSWORD, _MD5, _SASL, _SASL_FINAL = 0, 3, 5, 10, 12


class VerifiedConnection(Connection):  # type: ignore[misc]
    """pg8000's connection, with its authentication made strict.

    It overrides two methods of pg8000 that are not documented for it, so requirements.txt pins the exact version and
    the tests log in with every kind of authentication.
    """

    user: bytes
    password: bytes
    _password_proved = False

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:
        """Refuse a server that wants the clear password, or that asks for no proof."""
        kind = int.from_bytes(data[:4], "big")
        if kind == _CLEAR_PASSWORD:
            raise AuthenticationUnsafe("the server asked for the clear password: require scram-sha-256 in pg_hba.conf")
        if kind == _OK and not self._password_proved:
            raise AuthenticationUnsafe(
                "the server let us in without a password: nothing would be proved; require scram-sha-256 in pg_hba.conf"
            )
        if kind == _SASL:
            self._start_scram(data, context)
        else:
            super().handle_AUTHENTICATION_REQUEST(data, context)
        self._password_proved = self._password_proved or kind in (_MD5, _SASL_FINAL)

    def _start_scram(self, data: bytes, context: Any) -> None:
        """Give scramp neutral names first, then the password as PostgreSQL prepares it.

        scramp applies the RFC to both and fails on legal role names and passwords; PostgreSQL ignores the name here.
        """
        user, password = self.user, self.password
        self.user, self.password = b"ignored", b"ignored"
        super().handle_AUTHENTICATION_REQUEST(data, context)
        self.user, self.password = user, password
        self.auth.password = scram.prepared(password.decode("utf-8"))

    def close(self) -> None:
        """Hang up; that the server did so first, or that the time is over, must not hide why it refused us.

        pg8000 leaves its file on the socket to the garbage collector, and the file keeps the socket open till then.
        """
        file = self._sock
        with suppress(OSError, InterfaceError, FunctionError):
            super().close()
        with suppress(OSError, FunctionError):
            if file is not None:
                file.close()
