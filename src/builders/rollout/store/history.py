"""The runs that ended: run.json tells of the last one, history.json of those before it."""

from __future__ import annotations

from dataclasses import dataclass

from builders.rollout.client.objects import ABSENT, Expected
from builders.rollout.client.refusals import Conflict
from builders.rollout.store import forms
from builders.rollout.store.forms import Drawer
from builders.rollout.store.runs import Ended, Run


@dataclass(frozen=True)
class _Book:
    """history.json, oldest first."""

    runs: tuple[Ended, ...] = ()


class History:
    """The runs of one suffix that ended."""

    def __init__(self, drawer: Drawer) -> None:
        self._drawer = drawer
        self._key = drawer.key("history.json")

    def runs(self, last: Run | None) -> tuple[Ended, ...]:
        """All of them, oldest first; `last` is the one that only run.json tells of."""
        past, _ = self._read()
        return past if last is None else _with(past, last)

    def remember(self, run: Run) -> None:
        """Keep a run that ended, before another takes its place; others may be about to do the same."""
        while True:
            past, etag = self._read()
            runs = _with(past, run)
            if runs == past:
                return
            try:
                self._drawer.objects.put(self._drawer.bucket, self._key, forms.written(_Book(runs)), etag)
            except Conflict:
                continue
            return

    def _read(self) -> tuple[tuple[Ended, ...], str | Expected]:
        found = self._drawer.objects.get(self._drawer.bucket, self._key)
        if found is None:
            return (), ABSENT
        return forms.read(_Book, found[0], self._drawer.where(self._key)).runs, found[1]


def _with(past: tuple[Ended, ...], run: Run) -> tuple[Ended, ...]:
    if any(each.run == run.id for each in past):
        return past
    return (*past, Ended(run.id, run.command, run.release, run.began, run.status, run.good, run.to))
