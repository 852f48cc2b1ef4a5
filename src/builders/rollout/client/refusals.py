"""What AWS refuses, as errors; `wording.py` says them.

RolloutError
├── Unreachable               no credentials, no endpoint, no answer, throttled for too long: `resume` goes on
└── Refused                   AWS answered with an error; `code` is AWS's own
    ├── AccessDenied          names the action that is missing
    ├── OperationInProgress   another operation of the set is not over: wait, and submit the same id again
    ├── OperationExists       the id came before: re-attach to it
    ├── StaleRequest          the id came before, and the set has moved on since
    ├── SetExists
    ├── SetNotFound
    ├── SetNotEmpty
    └── Conflict              a conditional write of S3 came too late
"""

from __future__ import annotations

from builders.errors import RolloutError


class Unreachable(RolloutError):
    """AWS cannot be asked now: no valid credentials, no endpoint, no answer in time, or none but "later"."""


class Refused(RolloutError):
    """AWS answered with an error. `code` and `words` are AWS's own."""

    def __init__(self, message: str, code: str = "", words: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.words = words


class AccessDenied(Refused):
    """The credentials lack an action, or a role cannot be assumed."""


class OperationInProgress(Refused):
    """Another operation of the stack set is not over."""


class OperationExists(Refused):
    """The operation's id came before: the caller re-attaches to it."""


class StaleRequest(Refused):
    """The operation's id came before, and other operations since."""


class SetExists(Refused):
    """A stack set of the name is there."""


class SetNotFound(Refused):
    """There is no stack set of the name."""


class SetNotEmpty(Refused):
    """The stack set has instances, and cannot be deleted."""


class NotThere(Refused):
    """An operation, an instance, a change set or an object is not there."""


class Conflict(Refused):
    """An object is not what a conditional write expects: somebody else wrote first."""
