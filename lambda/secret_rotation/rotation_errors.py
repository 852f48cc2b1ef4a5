"""Everything that can stop a rotation, by name; what stops a login in any function stands in `function_errors`.

    FunctionError
    ├── EventError           the event is not one of ours
    ├── RotationDisabled     the secret's rotation is switched off
    ├── VersionNotStaged     the token is not the version under rotation
    ├── ValueMissing         a step ran before createSecret stored a value
    ├── AwsCallFailed        Secrets Manager or DMS refused or did not answer
    ├── TaskRunning          the DMS task that uses this secret is not stopped
    ├── WrongPassword        SQLSTATE 28P01, the only error that another version may cure
    ├── DatabaseRefused      any other SQLSTATE
    ├── RotationBusy         another invocation is changing the same password now
    ├── LockedOut            no version logs in: a person must choose a way back
    └── UnexpectedError      a defect; its text is withheld, since it may quote a value

No message carries a value of a secret: messages are built from names, ids, SQLSTATEs and the server's
own words only.
"""

from __future__ import annotations

from function_errors import FunctionError

WAY_BACK = 'see "When no version logs in" in docs/rotation.md'

# What an operator can do about it, for the states that PostgreSQL names ("PostgreSQL Error Codes", appendix A).
_ADVICE = {
    "0A000": "the server is a standby, which takes no writes: the secret must name the writer",
    "28000": "pg_hba.conf or NOLOGIN refuses this user: allow it",
    "3D000": "the database in the secret does not exist: correct dbname",
    "42501": "the role may not change its own password (rds.restrict_password_commands): grant rds_password",
    "53300": "no connection is free for this role: raise its CONNECTION LIMIT or max_connections",
    "55P03": "another session holds a lock on the role: it will be tried again",
    "57014": "the server cancelled the statement: it will be tried again",
    "57P03": "the server is starting or stopping: it will be tried again",
}


class EventError(FunctionError):
    """The event lacks a field or names an unknown step."""


class RotationDisabled(FunctionError):
    """Rotation is not enabled for the secret."""


class VersionNotStaged(FunctionError):
    """The token's version does not carry AWSPENDING (any more)."""


class ValueMissing(FunctionError):
    """The version under rotation has no value yet."""


class AwsCallFailed(FunctionError):
    """An AWS call failed; the message gives the operation and the error code, the code is also in `code`."""

    def __init__(self, operation: str, code: str, explanation: str) -> None:
        super().__init__(f"{operation} failed with {code} ({explanation})")
        self.code = code


class TaskRunning(FunctionError):
    """The DMS task that logs in with this secret is not stopped."""


class WrongPassword(FunctionError):
    """SQLSTATE 28P01: wrong password, missing role, or VALID UNTIL in the past."""


class DatabaseRefused(FunctionError):
    """The database answered with an error other than 28P01."""

    def __init__(self, sqlstate: str, server_message: str) -> None:
        advice = _ADVICE.get(sqlstate, "nothing was changed")
        super().__init__(f"the database refused with SQLSTATE {sqlstate} ({server_message}): {advice}")
        self.sqlstate = sqlstate


class RotationBusy(FunctionError):
    """Another invocation holds the lock under which the password is changed."""


class LockedOut(FunctionError):
    """No version of the secret that may be tried logs in."""


class UnexpectedError(FunctionError):
    """An error that no code here foresaw."""
