"""Values of this package as JSON and back, for state that outlives the server.

JSON and not pickle: what is read back can make only the values named here, and the classes that the reader lists.

State that outlives the server (`--keep`): saved beside the requests, loaded at the next start, after a crash too.

ministack saves its services when it stops, which a crash does not wait for; here they are saved every `SECONDS` in
which something happened, all of them as they are at one moment. A room of this package names the stores that are to be
kept with them, and what takes up the work that was under way (`keep`).
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

from ministack import app
from ministack.core import persistence

from builders.cloud.rds.instances import Databases
from builders.resource_types import Json

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


SECONDS = 0.5
_OURS = "stackferry"
_STATE = Path(persistence.STATE_DIR)
_CURRENT = _STATE / "current"
"""The link to the directory of the last whole save: a crash in the middle of one leaves the one before."""

touched = threading.Event()
"""Set by every request, and by work that goes on beside requests; saving clears it."""


@dataclass(frozen=True)
class _Room:
    stores: Mapping[str, Any]
    classes: Mapping[str, type]
    take_up: Callable[[], None]


_rooms: dict[str, _Room] = {}


def keep(room: str, stores: Mapping[str, Any], *classes: type, take_up: Callable[[], None] = lambda: None) -> None:
    """Keep stores, each a dict or one that ministack scopes by account and region; `classes` are what they hold.

    `take_up` is called on the event loop when all state is there again.
    """
    _rooms[room] = _Room(stores, {each.__name__: each for each in classes}, take_up)


def install(databases: Databases) -> None:
    """Let the server, when it starts, take up what the last one left."""
    before = app._load_persisted_state

    def load() -> None:
        persistence.STATE_DIR = str(_CURRENT)
        for unfinished in set(_STATE.glob("saved-*")) - {_CURRENT.resolve()}:
            shutil.rmtree(unfinished, ignore_errors=True)
        before()
        kept = persistence.load_state(_OURS)
        if kept:
            databases.take_up(kept["databases"])
            for name, stores in kept["rooms"].items():
                for store, values in stores.items():
                    _data(_rooms[name].stores[store]).update(from_json(values, _rooms[name].classes))
        for room in _rooms.values():
            room.take_up()

    app._load_persisted_state = load


async def save_while_serving(databases: Databases) -> None:
    """Save on the event loop, so that nobody changes what is being written; most of the time is left to others."""
    pause = SECONDS
    while persistence.PERSIST_STATE:
        await asyncio.sleep(pause)
        if touched.is_set():
            began = time.monotonic()
            touched.clear()
            save(databases)
            pause = max(SECONDS, 3 * (time.monotonic() - began))


def save(databases: Databases) -> None:
    """Write everything into a new directory, which then takes the place of the one before."""
    if not persistence.PERSIST_STATE:
        return
    before = _CURRENT.resolve()
    new = _STATE / f"saved-{time.time_ns()}"
    persistence.STATE_DIR = str(new)
    persistence.save_all(app._build_persistence_save_dict())
    rooms = {
        name: {store: to_json(dict(_data(values))) for store, values in room.stores.items()}
        for name, room in _rooms.items()
    }
    persistence.save_state(_OURS, {"rooms": rooms, "databases": databases.kept()})
    link = _STATE / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, _CURRENT)
    if before != _CURRENT:
        shutil.rmtree(before, ignore_errors=True)


def _data(store: Any) -> dict[Any, Any]:
    data: dict[Any, Any] = getattr(store, "_data", store)
    return data
