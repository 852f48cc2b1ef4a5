"""Errors that can stop any function that logs in to PostgreSQL with a secret, by name.

    FunctionError
    ├── SecretInvalid        the secret is not the JSON that is needed
    ├── IdentityChanged      user, host, port or database differ between versions
    ├── Unreachable          no connection, or it broke or stopped answering
    ├── TlsRefused           no TLS, an unknown authority, or a wrong name
    ├── AuthenticationUnsafe the server asked for the clear password, or for none
    └── OutOfTime            stopped shortly before the Lambda timeout

No message carries a value of a secret, be it the user or the host: a password may stand in the wrong field.
"""

from __future__ import annotations

from function_log import Told


class FunctionError(Told):
    """The function stopped here, on purpose; running it again is always safe."""


class SecretInvalid(FunctionError):
    """The value is not a JSON object with the fields needed to log in."""


class IdentityChanged(FunctionError):
    """Two versions of the secret name different users, hosts, ports or databases."""


class Unreachable(FunctionError):
    """The database cannot be reached, closed the connection, or did not answer in time."""


class TlsRefused(FunctionError):
    """The server's TLS could not be verified, so neither user nor password was sent."""


class AuthenticationUnsafe(FunctionError):
    """The server asked for the clear password, or let us in without asking for one."""


class OutOfTime(FunctionError):
    """The time that Lambda gave is nearly over."""
