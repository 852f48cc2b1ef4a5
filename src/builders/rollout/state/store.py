"""The three books of a phase, in one bucket."""

from __future__ import annotations

from builders.rollout.state.journal import Command, Journal, RunStatus
from builders.rollout.state.overrides import OverrideCache
from builders.rollout.state.releases import Releases
from builders.rollout.state.serialization import Bucket, JsonObject


class Store:
    """Journal, releases and known overrides of one suffix."""

    def __init__(self, objects: Bucket, bucket: str, suffix: str) -> None:
        self._drawer = JsonObject(objects, bucket, suffix)
        self.journal = Journal(self._drawer)
        self.releases = Releases(self._drawer)

    def known(self) -> OverrideCache:
        """What is known of overrides, the operations of a run under way included."""
        key = self._drawer.key("known.json")
        found = self._drawer.objects.get(self._drawer.bucket, key)
        known = OverrideCache.read(found[0], self._drawer.where(key)) if found else OverrideCache()
        run = self.journal.run()
        if run and run.status is RunStatus.RUNNING:
            known.fold(run.entries)
        return known

    def keep(self, known: OverrideCache) -> None:
        """Write it down, for the next command; whoever holds the journal's lock does."""
        self._drawer.objects.put(self._drawer.bucket, self._drawer.key("known.json"), known.written())

    def last_good(self, before: str | None = None) -> str | None:
        """The newest release whose run ended with every instance CURRENT; with `before`, the one before it.

        A rollback takes back what came behind the release that it puts back, so that the next one goes further back.
        """
        line: list[str] = []
        for run in self.journal.history():
            if run.command is Command.ROLLBACK and run.to in line:
                del line[_last(line, run.to) + 1 :]
                if run.good:
                    line[-1] = run.release
            elif run.command is Command.APPLY and run.good and line[-1:] != [run.release]:
                line.append(run.release)
        if before in line:
            del line[_last(line, before) :]
        return line[-1] if line else None


def _last(line: list[str], release: str) -> int:
    """Where a release stands last in a line that has it."""
    return len(line) - 1 - line[::-1].index(release)
