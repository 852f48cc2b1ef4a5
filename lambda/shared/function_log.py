"""The log of a function: each entry is one line, whatever stands in the texts that others gave us.

A name, a server's message or an event may hold line breaks, which would forge an entry, and characters that steer the
terminal of whoever reads the log.
"""

from __future__ import annotations

import logging


def printable(text: object) -> str:
    """The text in one line: spaces for all that is space, escapes such as \\x1b for what cannot be printed."""
    return "".join(_shown(character) for character in str(text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else repr(character)[1:-1]


class Told(Exception):
    """An error whose message is for the log, and so in one line."""

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


def logger(name: str) -> logging.Logger:
    """The logger of a name, whose entries are in one line each.

    At DEBUG the SDK writes requests and answers, secret values included, whatever the function's log level is set to:
    it stays at INFO.
    """
    for chatty in ("boto3", "botocore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.INFO)
    found = logging.getLogger(name)
    found.setLevel(logging.INFO)
    found.addFilter(_in_one_line)  # the same function again is not added again
    return found


def _in_one_line(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True
