"""The marker: a row that is written on one side and awaited on the other, as proof that everything before it arrived.

Replication keeps the order of commits, so whoever sees the marker has all that was committed before it was written. A
task with BatchApplyEnabled changes table after table within a batch: there only a second marker, written once the first
has arrived, proves that the batch of the first is complete (DMS user guide, "Target metadata task settings").
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from builders import naming
from builders.errors import MigrationError
from builders.migration.databases import Database

TABLE = f"{naming.MARKER_SCHEMA}.{naming.MARKER_TABLE}"

POLL_SECONDS = 0.02

Alive = Callable[[], None]
"""Raises where the task has stopped: then nothing more arrives."""

CREATE_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} "
    "(id integer PRIMARY KEY, token varchar(64) NOT NULL, made timestamptz NOT NULL)"
)


def send(origin: Database) -> str:
    """Write a new marker, and return its token."""
    token = secrets.token_hex(16)
    # The same row each time; DELETE and INSERT would be two changes.
    origin.run(
        f"INSERT INTO {TABLE} VALUES (1, %s, clock_timestamp()) "
        "ON CONFLICT (id) DO UPDATE SET token = excluded.token, made = excluded.made",
        (token,),
    )
    return token


def has_arrived(destination: Database, token: str) -> bool:
    """Return whether the marker is there."""
    return bool(destination.value(f"SELECT true FROM {TABLE} WHERE id = 1 AND token = %s", (token,)))


def round_trip(
    origin: Database, destination: Database, alive: Alive, *, timeout_seconds: float, trips: int = 1
) -> float:
    """Send a marker, wait for it, and return the seconds that it took; the later one of several.

    Only this host's clock is asked. Raises `MigrationError` where it does not arrive in time.
    """
    took = 0.0
    for _ in range(trips):
        began = time.monotonic()
        token = send(origin)
        looked = began
        while not has_arrived(destination, token):
            now = time.monotonic()
            if now - began >= timeout_seconds:
                raise MigrationError(
                    f"a marker written on the {origin.side} has not arrived on the {destination.side} after "
                    f"{timeout_seconds:g} seconds: the task lags or stands still; see status, and run this again when "
                    "the lag is small"
                )
            if now - looked >= 1:
                alive()
                looked = now
            time.sleep(POLL_SECONDS)
        took = time.monotonic() - began
    return took
