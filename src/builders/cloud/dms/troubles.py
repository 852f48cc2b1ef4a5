"""Failures that stop a task, and the kinds of a database's errors.

Source: DMS user guide, "Error handling task settings": errors of the environment are tried again, errors of a table and
of a record have policies of their own. Which SQLSTATE is which is ours: the guide does not say.
"""

from __future__ import annotations

import psycopg

FATAL = "Stop Reason FATAL_ERROR Error Level FATAL"
RECOVERABLE = "Stop Reason RECOVERABLE_ERROR Error Level RECOVERABLE"
_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection slots", "in recovery")
_PASSING_CLASSES = ("08", "53", "57", "58")
_OF_TABLE = ("42", "0A")
_OF_RECORD = ("428C9",)
"""A generated identity refuses the values of an INSERT, and no other statement."""
_CONNECTION_EXCEPTIONS = ("55006",)
"""The slot is still held by the connection before."""


class TaskStopped(Exception):
    """The task stops, as failed; the message is what LastFailureMessage says."""

    def __init__(self, message: str, reason: str = FATAL) -> None:
        super().__init__(message)
        self.reason = reason


class StopAsked(Exception):
    """StopReplicationTask was called, or the server ends."""


def is_recoverable(error: psycopg.Error) -> bool:
    """Return whether an error passes by itself: the server, or the way to it, is gone for a while."""
    if error.sqlstate:
        return error.sqlstate.startswith(_PASSING_CLASSES) or error.sqlstate in _CONNECTION_EXCEPTIONS
    text = str(error)
    if "replication slot" in text:
        return "is active for PID" in text
    if "FATAL" in text:
        return any(words in text for words in _PASSING)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and "certificate" not in text


def is_of_table(error: psycopg.Error) -> bool:
    """Return whether an error is about a table as a whole: it is not there, lacks a column, or refuses the user."""
    state = error.sqlstate or ""
    return state.startswith(_OF_TABLE) and state not in _OF_RECORD
