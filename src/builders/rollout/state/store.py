"""The stored state of a phase: journal, releases and override cache, in one bucket."""

from __future__ import annotations

from builders.rollout.state.journal import Command, Journal, RunStatus
from builders.rollout.state.overrides import OverrideCache, StoredOverrides
from builders.rollout.state.releases import Releases
from builders.rollout.state.serialization import Folder, Objects


class Store:
    """The state of one suffix."""

    def __init__(self, objects: Objects, bucket: str, suffix: str) -> None:
        folder = Folder(objects, bucket, suffix)
        self.journal = Journal(folder)
        self.releases = Releases(folder)
        self._overrides = folder.json(folder.key("known.json"), StoredOverrides)

    def overrides(self) -> OverrideCache:
        """Read the override cache, with the overrides that the operations of a run under way have given."""
        stored, _ = self._overrides.read()
        cache = OverrideCache(stored)
        run = self.journal.run()
        if run and run.status is RunStatus.RUNNING:
            cache.apply(run.entries)
        return cache

    def save_overrides(self, cache: OverrideCache) -> None:
        """Write the overrides for the next command; only the holder of the journal's lock does."""
        self._overrides.write(cache.stored())

    def last_good(self, before: str | None = None) -> str | None:
        """The newest release whose run ended with every instance CURRENT; with `before`, the one before it.

        A rollback takes back what came behind the release that it puts back, so that the next one goes further back.
        """
        releases: list[str] = []
        for run in self.journal.history():
            if run.command is Command.ROLLBACK and run.to in releases:
                del releases[_last_index(releases, run.to) + 1 :]
                if run.good:
                    releases[-1] = run.release
            elif run.command is Command.APPLY and run.good and releases[-1:] != [run.release]:
                releases.append(run.release)
        if before in releases:
            del releases[_last_index(releases, before) :]
        return releases[-1] if releases else None


def _last_index(releases: list[str], release: str) -> int:
    return len(releases) - 1 - releases[::-1].index(release)
