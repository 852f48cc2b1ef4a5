"""What DMS refuses with: the fault's name and its sentence.

Source: DMS API reference, the errors of each operation. Sentences that the reference does not give are known from
public issues (terraform-provider-aws #2236, #24047 and #46516) or, where they say "(embedded cloud)", are ours.
"""

from __future__ import annotations


class Fault(Exception):
    """A fault of the API; `code` is the name that SDKs raise it under."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def not_found(what: str) -> Fault:
    """Nothing matches; DMS answers so to filters, too."""
    return Fault("ResourceNotFoundFault", f"No {what} found matching the filter")


def wrong_state(message: str) -> Fault:
    """The task is in a state in which it cannot do that."""
    return Fault("InvalidResourceStateFault", message)


def invalid(message: str) -> Fault:
    """A parameter has a value that DMS does not take."""
    return Fault("InvalidParameterValueException", message)
