"""State that outlives the server (`--keep`): saved beside the requests, loaded at the next start, after a crash too.

ministack saves its services when it stops, which a crash does not wait for; here they are saved every `SECONDS` in
which something was asked. What is not kept stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import asyncio

from ministack import app
from ministack.core import persistence

from builders.cloud import records
from builders.cloud.rds import Databases

SECONDS = 0.5
_OURS = "stackferry"

touched = asyncio.Event()
"""Set by every request; saving clears it."""


def load(databases: Databases) -> None:
    """Take up the records and the database servers of the last time, where the server keeps its state."""
    kept = persistence.load_state(_OURS)
    if kept:
        records._records._data.update(kept["records"]._data)
        databases.take_up(kept["databases"])


async def save_while_serving(databases: Databases) -> None:
    """Save on the event loop, so that nobody changes what is being written."""
    while persistence.PERSIST_STATE:
        await touched.wait()
        await asyncio.sleep(SECONDS)
        touched.clear()
        save(databases)


def save(databases: Databases) -> None:
    """Write everything, each service into a file that takes the place of the one before."""
    if persistence.PERSIST_STATE:
        persistence.save_all(app._build_persistence_save_dict())
        persistence.save_state(_OURS, {"records": records._records, "databases": databases.kept()})
