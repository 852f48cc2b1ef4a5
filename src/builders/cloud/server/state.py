"""State that outlives the server (`--keep`): saved beside the requests, loaded at the next start, after a crash too.

ministack saves its services when it stops, which a crash does not wait for; here they are saved every `SECONDS` in
which something happened, all of them as they are at one moment. A service of this package names the stores that are
saved with them, and the function that takes up the work that was under way (`keep`).

Values are written as JSON and not pickled: a reader makes only the values named here, and the classes that it lists.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ministack.core import persistence

from builders.cloud.internals import entries, server
from builders.cloud.patches import patch
from builders.cloud.rds.instances import databases
from builders.resource_types import Json

SECONDS = 0.5
_OURS = "stackferry"
_STATE = Path(persistence.STATE_DIR)
_CURRENT = _STATE / "current"
"""The link to the directory of the last whole save: a crash in the middle of one leaves the one before."""

touched = threading.Event()
"""Set by every request, and by work that goes on beside requests; saving clears it."""


@dataclass(frozen=True)
class _Kept:
    stores: Mapping[str, Any]
    classes: Mapping[str, type]
    take_up: Callable[[], None]


_kept: dict[str, _Kept] = {}


def keep(service: str, stores: Mapping[str, Any], *classes: type, take_up: Callable[[], None] = lambda: None) -> None:
    """Keep stores, each a dict or one that ministack scopes by account and region; `classes` are what they hold.

    `take_up` is called on the event loop when all state is there again.
    """
    _kept[service] = _Kept(stores, {each.__name__: each for each in classes}, take_up)


@patch(
    "ministack.app._load_persisted_state",
    why="the state of the last server is loaded from where a crash may have left half a save, and without what this "
    "package keeps",
)
def _load(original: Any) -> None:
    persistence.STATE_DIR = str(_CURRENT)
    for unfinished in set(_STATE.glob("saved-*")) - {_CURRENT.resolve()}:
        shutil.rmtree(unfinished, ignore_errors=True)
    original()
    kept = persistence.load_state(_OURS)
    if kept:
        databases.take_up(kept["databases"])
        for name, stores in kept["rooms"].items():
            for store, values in stores.items():
                _entries(_kept[name].stores[store]).update(from_json(values, _kept[name].classes))
    for each in _kept.values():
        each.take_up()


async def save_while_serving() -> None:
    """Save on the event loop, so that nobody changes what is being written; most of the time is left to others."""
    pause = SECONDS
    while persistence.PERSIST_STATE:
        await asyncio.sleep(pause)
        if touched.is_set():
            began = time.monotonic()
            touched.clear()
            save()
            pause = max(SECONDS, 3 * (time.monotonic() - began))


def save() -> None:
    """Write everything into a new directory, which then replaces the one before."""
    if not persistence.PERSIST_STATE:
        return
    before = _CURRENT.resolve()
    new = _STATE / f"saved-{time.time_ns()}"
    persistence.STATE_DIR = str(new)
    persistence.save_all(server.state_to_save())
    rooms = {
        name: {store: to_json(dict(_entries(values))) for store, values in each.stores.items()}
        for name, each in _kept.items()
    }
    persistence.save_state(_OURS, {"rooms": rooms, "databases": databases.kept()})
    link = _STATE / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, _CURRENT)
    if before != _CURRENT:
        shutil.rmtree(before, ignore_errors=True)


def _entries(store: Any) -> dict[Any, Any]:
    return store if isinstance(store, dict) else entries(store)


_KIND = "$"
_COLLECTIONS: Mapping[str, Any] = {"tuple": tuple, "frozenset": frozenset}


def to_json(value: Any) -> Json:
    """Return a value as JSON; what JSON lacks is {"$": its kind, "value": what it is made of}."""
    kind = type(value).__name__
    if dataclasses.is_dataclass(value):
        members = {each.name: to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return {_KIND: kind, "value": members}
    if isinstance(value, datetime):
        return {_KIND: kind, "value": value.isoformat()}
    if kind in _COLLECTIONS:
        return {_KIND: kind, "value": [to_json(each) for each in value]}
    if isinstance(value, dict):
        if _KIND not in value and all(isinstance(key, str) for key in value):
            return {key: to_json(each) for key, each in value.items()}
        return {_KIND: "dict", "value": [[to_json(key), to_json(each)] for key, each in value.items()]}
    return [to_json(each) for each in value] if isinstance(value, list) else value


def from_json(value: Json, classes: Mapping[str, type]) -> Any:
    """Return what `to_json` was given; `classes` are the dataclasses that may be in it, by name."""
    if isinstance(value, list):
        return [from_json(each, classes) for each in value]
    if not isinstance(value, dict):
        return value
    if _KIND not in value:
        return {key: from_json(each, classes) for key, each in value.items()}
    return _restored(value[_KIND], value["value"], classes)


def _restored(kind: str, parts: Json, classes: Mapping[str, type]) -> Any:
    if kind == "datetime":
        return datetime.fromisoformat(parts)
    if kind == "dict":
        return {from_json(key, classes): from_json(each, classes) for key, each in parts}
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](from_json(each, classes) for each in parts)
    return classes[kind](**from_json(parts, classes))
