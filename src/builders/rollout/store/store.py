"""The three books of a phase, in one bucket."""

from __future__ import annotations

from builders.rollout.store.forms import Bucket, Drawer
from builders.rollout.store.journal import Journal
from builders.rollout.store.known import Known
from builders.rollout.store.releases import Releases
from builders.rollout.store.runs import Command, RunStatus


class Store:
    """Journal, releases and known overrides of one suffix."""

    def __init__(self, objects: Bucket, bucket: str, suffix: str) -> None:
        self._drawer = Drawer(objects, bucket, suffix)
        self.journal = Journal(self._drawer)
        self.releases = Releases(self._drawer)

    def known(self) -> Known:
        """What is known of overrides, the operations of a run under way included."""
        key = self._drawer.key("known.json")
        found = self._drawer.objects.get(self._drawer.bucket, key)
        known = Known.read(found[0], self._drawer.where(key)) if found else Known()
        run = self.journal.run()
        if run and run.status is RunStatus.RUNNING:
            known.fold(run.entries)
        return known

    def keep(self, known: Known) -> None:
        """Write it down, for the next command; whoever holds the journal's lock does."""
        self._drawer.objects.put(self._drawer.bucket, self._drawer.key("known.json"), known.written())

    def last_good(self, before: str | None = None) -> str | None:
        """The newest release whose run ended with every instance CURRENT; with `before`, the one before it."""
        runs = [each for each in self.journal.history() if each.command in (Command.APPLY, Command.ROLLBACK)]
        if before is not None:
            last = max((number for number, each in enumerate(runs) if each.release == before), default=len(runs))
            runs = [each for each in runs[:last] if each.release != before]
        return next((each.release for each in reversed(runs) if each.good), None)
