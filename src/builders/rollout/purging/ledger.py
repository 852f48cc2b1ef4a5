"""What is to be purged, as an object beside the journal: written before a removal begins, struck as it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from builders.errors import RolloutError
from builders.rollout.client.objects import ABSENT, Expected
from builders.rollout.client.refusals import Conflict
from builders.rollout.model import Place
from builders.rollout.purging.left import Left
from builders.rollout.store import forms
from builders.rollout.store.forms import Bucket, Drawer

ATTEMPTS = 5
"""Of a write that another one came before."""

_Key = tuple[Place, str, str, str]
_Noted = dict[_Key, Left]


@dataclass(frozen=True)
class _Book:
    left: tuple[Left, ...] = ()


class Ledger:
    """The object rollout/<suffix>/left.json. Safe for threads, and for two who write at once."""

    def __init__(self, objects: Bucket, bucket: str, suffix: str) -> None:
        self._drawer = Drawer(objects, bucket, suffix)
        self._key = self._drawer.key("left.json")
        self._lock = threading.Lock()

    def read(self) -> tuple[Left, ...]:
        """Everything that is noted and not purged yet."""
        return tuple(self._read()[0].values())

    def note(self, found: Iterable[Left]) -> None:
        """Add what a removal will leave. What was noted before stays as it was: its database had fewer snapshots."""
        added = {_key(each): each for each in found}
        self._change(lambda noted: {**added, **noted})

    def strike(self, done: Iterable[Left]) -> None:
        """Take out what is gone."""
        keys = {_key(each) for each in done}
        self._change(lambda noted: {key: each for key, each in noted.items() if key not in keys})

    def _change(self, change: Callable[[_Noted], _Noted]) -> None:
        with self._lock:
            for _ in range(ATTEMPTS):
                noted, etag = self._read()
                changed = change(noted)
                if changed == noted or self._written(changed, etag):
                    return
        raise RolloutError(f"{self._where} is written by others all the time; run this again when they are done")

    def _written(self, noted: _Noted, etag: str | Expected) -> bool:
        body = forms.written(_Book(tuple(noted[key] for key in sorted(noted))))
        try:
            self._drawer.objects.put(self._drawer.bucket, self._key, body, etag)
        except Conflict:
            return False
        return True

    def _read(self) -> tuple[_Noted, str | Expected]:
        found = self._drawer.objects.get(self._drawer.bucket, self._key)
        if found is None:
            return {}, ABSENT
        return {_key(each): each for each in forms.read(_Book, found[0], self._where).left}, found[1]

    @property
    def _where(self) -> str:
        return self._drawer.where(self._key)


def _key(left: Left) -> _Key:
    return left.place, left.stack_id, left.type, left.physical_id
