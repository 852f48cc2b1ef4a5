"""State that outlives the server (`--keep`): saved beside the requests, loaded at the next start, after a crash too.

ministack saves its services when it stops, which a crash does not wait for; here they are saved every `SECONDS` in
which something happened, all of them as they are at one moment. A service of this package names the stores that are
saved with them, and the function that takes up the work that was under way (`keep`).

Values are written as JSON and not pickled: a reader makes only the values named here, and the classes that it lists.
Bytes, such as the objects in buckets, are files beside the saves, each named after its digest and written once.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import logging
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
from builders.errors import CloudError
from builders.resource_types import Json
from builders.text import name_list

SECONDS = 0.5
_ATTEMPTS = 20
_OURS = "stackferry"
_STATE = Path(persistence.STATE_DIR)
_CURRENT = _STATE / "current"
"""The link to the directory of the last whole save: a crash in the middle of one leaves the one before."""
_CONTENTS = _STATE / "contents"

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


_read: dict[str, Any] = {}


def read() -> None:
    """Read what the last server kept, before anything is served.

    Raises `CloudError` where that is not whole: the next save would replace it by what could be read of it.
    """
    if not persistence.PERSIST_STATE or not os.path.lexists(_CURRENT):
        return
    try:
        if not _CURRENT.is_symlink():  # as in a copy that follows links
            raise ValueError(f"{_CURRENT.name} is no link")
        # ministack passes over a file that it cannot read, and its service begins anew.
        saved = {
            each.stem: json.loads(each.read_bytes()) for each in sorted(_CURRENT.resolve(strict=True).glob("*.json"))
        }
        newer = [name for name, each in saved.items() if each["__ministack_format__"] > server.state_format(name)]
        ours = saved[_OURS]["payload"]
        rooms = {
            name: {store: from_json(values, _kept[name].classes) for store, values in stores.items()}
            for name, stores in ours["rooms"].items()
        }
        missing = [store for name, stores in rooms.items() for store in stores if store not in _kept[name].stores]
        if newer or missing:
            raise ValueError(f"another version has written {name_list([*newer, *missing])}")
        _read.update(databases=ours["databases"], rooms=rooms)
    except (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        raise CloudError(
            f"what {_STATE} keeps is damaged, or of another version ({type(error).__name__}: {error}), and stays as it "
            "is; take it from a copy, or choose another state directory"
        ) from error


@patch(
    "ministack.app._load_persisted_state",
    why="the state of the last server is loaded from where a crash may have left half a save, and without what this "
    "package keeps",
)
def _load(original: Any) -> None:
    persistence.STATE_DIR = str(_CURRENT)
    _delete_other_saves()
    original()
    # ministack saves, too, when it stops, maybe before we have: not where the link goes.
    persistence.STATE_DIR = str(_STATE / "saved-0")
    if _read:
        databases.take_up(_read["databases"])
        for name, stores in _read["rooms"].items():
            for store, values in stores.items():
                _entries(_kept[name].stores[store]).update(values)
        _read.clear()
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
            if not save():
                touched.set()
            pause = max(SECONDS, 3 * (time.monotonic() - began))


_failures: list[int | None] = []
"""Errors of saves since the last that was whole, each said once."""


def save() -> bool:
    """Write everything into a new directory, which then replaces the one before, and tell whether that was possible.

    Where it is not, as on a full disk, the save before stays.
    """
    if not persistence.PERSIST_STATE:
        return True
    _delete_other_saves()  # ministack's own at the end would take the room
    new = _STATE / f"saved-{time.time_ns()}"
    try:
        new.mkdir(parents=True)
        _write_beside_threads(new)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        _contents.give_up()
        if _failures[-1:] != [error.errno]:
            logging.getLogger(__name__).error("the state of this server cannot be saved: %s", error)
            _failures.append(error.errno)
        return False
    _failures.clear()
    _delete_other_saves()
    _contents.forget_others()
    return True


def _write_beside_threads(new: Path) -> None:
    """Write; again where a thread, such as that of a replication task, has added to a store of ministack meanwhile."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(RuntimeError):  # "dictionary changed size during iteration"
            _write(new)
            return
    _write(new)


def _write(new: Path) -> None:
    # Not by ministack's save_all, to which a file that cannot be written is one less.
    for name, state_of in server.state_to_save().items():
        if (payload := state_of()) is not None:
            state = {"__ministack_format__": server.state_format(name), "payload": payload}
            (new / f"{name}.json").write_text(json.dumps(state, default=server.state_as_json))
    rooms = {
        name: {store: to_json(dict(_entries(values))) for store, values in each.stores.items()}
        for name, each in _kept.items()
    }
    whole = {"__ministack_format__": persistence.STATE_FORMAT_VERSION,
             "payload": {"rooms": rooms, "databases": databases.kept()}}  # fmt: skip
    (new / f"{_OURS}.json").write_text(json.dumps(whole))
    link = _STATE / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, _CURRENT)


def _delete_other_saves() -> None:
    """Delete the save before the current one, and what a crash left of one."""
    for each in set(_STATE.resolve().glob("saved-*")) - {_CURRENT.resolve()}:
        shutil.rmtree(each, ignore_errors=True)


def _entries(store: Any) -> dict[Any, Any]:
    return store if isinstance(store, dict) else entries(store)


class _Contents:
    """The bytes of a save, each in a file of its own that later saves use again."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, str]] = {}
        self._saved: dict[int, tuple[bytes, str]] = {}

    def save(self, content: bytes) -> str:
        """Return the digest of the content, which is in the file of this name from now on."""
        found = self._known.get(id(content))
        digest = found[1] if found else hashlib.sha256(content).hexdigest()
        self._saved[id(content)] = content, digest  # kept, so that no other object gets its id
        if not found and not (_CONTENTS / digest).exists():
            _CONTENTS.mkdir(exist_ok=True)
            part = _CONTENTS / f"{digest}.part"
            part.write_bytes(content)
            part.replace(_CONTENTS / digest)
        return digest

    def load(self, digest: str) -> bytes:
        """Return the content of a save that is loaded."""
        content = (_CONTENTS / digest).read_bytes()
        self._known[id(content)] = content, digest
        return content

    def forget_others(self) -> None:
        """Delete the files of contents that the save which has just ended does not have."""
        self._known = self._saved
        self.give_up()

    def give_up(self) -> None:
        """Delete the files of contents that the last whole save does not have, such as those of one that has failed."""
        self._saved = {}
        needed = {digest for _, digest in self._known.values()}
        for file in _CONTENTS.glob("*"):
            if file.name not in needed:
                file.unlink()


_contents = _Contents()
_KIND = "$"
_COLLECTIONS: Mapping[str, Any] = {"tuple": tuple, "frozenset": frozenset}


def to_json(value: Any) -> Json:
    """Return a value as JSON; what JSON lacks is {"$": its kind, "value": what it is made of}."""
    if isinstance(value, str | int | float | None):  # first: most values are
        return value
    if isinstance(value, list):
        return [to_json(each) for each in value]
    if isinstance(value, dict) and _KIND not in value and all(isinstance(key, str) for key in value):
        return {key: to_json(each) for key, each in list(value.items())}  # a copy: a thread may add to it meanwhile
    return {_KIND: "dict" if isinstance(value, dict) else type(value).__name__, "value": _parts(value)}


def _parts(value: Any) -> Json:
    if isinstance(value, dict):
        return [[to_json(key), to_json(each)] for key, each in list(value.items())]
    if dataclasses.is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return _contents.save(value)
    return [to_json(each) for each in value]  # one of _COLLECTIONS


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
    if kind == "bytes":
        return _contents.load(parts)
    if kind == "dict":
        return {from_json(key, classes): from_json(each, classes) for key, each in parts}
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](from_json(each, classes) for each in parts)
    return classes[kind](**from_json(parts, classes))
