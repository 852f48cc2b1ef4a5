"""The stored state of a phase: journal, releases and override cache, in one bucket.

The cache has overrides that need no DescribeStackInstance: those that an operation of ours gave, while it is the last
one. ListStackInstances names each instance's last operation but not its overrides. An operation that nobody here knows,
or one that did not succeed at the instance, leaves them unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from builders.rollout.aws.s3 import Objects
from builders.rollout.model import Instance, LayerTarget, Status, Target, Values
from builders.rollout.plan.calls import Action
from builders.rollout.state.journal import Command, Entry, EntryState, Journal, RunStatus
from builders.rollout.state.releases import Releases
from builders.rollout.state.serialization import Folder, TargetsByRegion, by_region, targets_in


class Store:
    """The state of one suffix."""

    def __init__(self, objects: Objects, bucket: str, suffix: str) -> None:
        folder = Folder(objects, bucket, suffix)
        self.journal = Journal(folder)
        self.releases = Releases(folder)
        self._overrides = folder.json(folder.key("known.json"), StoredOverrides)

    def overrides(self) -> OverrideCache:
        """Read the override cache, with what the operations of a run under way have done."""
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
            elif run.command in (Command.APPLY, Command.ADOPT) and run.good and releases[-1:] != [run.release]:
                releases.append(run.release)
        if before in releases:
            del releases[_last_index(releases, before) :]
        return releases[-1] if releases else None


def _last_index(releases: list[str], release: str) -> int:
    return len(releases) - 1 - releases[::-1].index(release)


@dataclass(frozen=True)
class _Group:
    """Targets of a layer whose last operation and overrides are the same."""

    layer: str
    operation_id: str
    overrides: Mapping[str, str]
    targets: TargetsByRegion


@dataclass(frozen=True)
class StoredOverrides:
    """The content of known.json. `reached` are the targets, by layer, to which the last update of its set has come, if
    not to all."""

    groups: tuple[_Group, ...] = ()
    reached: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


class OverrideCache:
    """Overrides by layer and target, each with the operation after which they held."""

    def __init__(self, stored: StoredOverrides | None = None) -> None:
        self._overrides: dict[LayerTarget, tuple[str, Values]] = {
            (group.layer, target): (group.operation_id, group.overrides)
            for group in (stored or StoredOverrides()).groups
            for target in targets_in(group.targets)
        }
        self._passed_by: dict[LayerTarget, set[str]] = {}
        """Updates of the set elsewhere, since this process has confirmed the overrides of a target."""
        self._reached = {layer: set(targets_in(found)) for layer, found in stored.reached.items()} if stored else {}
        """By layer whose set was updated, the targets that operations of ours have touched since."""

    def overrides(self, layer: str, instance: Instance) -> Values | None:
        """The overrides of an instance; None unless its last operation is the one that we know, and succeeded there.

        It can be OUTDATED all the same: a new template of the set that has not come to its wave yet makes it so, and
        gives it no other overrides. AWS does not say which operation is then its last one: the one before, or that one.
        """
        key, last = (layer, instance.target), instance.last_operation_id
        operation_id, overrides = self._overrides.get(key, ("", None))
        passed_by = self._passed_by.get(key, set())
        if instance.status is Status.CURRENT or (
            instance.status is Status.OUTDATED and instance.detailed == "SUCCEEDED"
        ):
            known = operation_id == last
        else:
            known = instance.detailed == "PENDING" and bool(passed_by) and last in {operation_id, *passed_by}
        if not known:
            return None
        self._passed_by.setdefault(key, set())
        return overrides

    def behind(self, layer: str, target: Target) -> bool:
        """Tell whether we have updated the set, and have not touched this instance since."""
        return layer in self._reached and target not in self._reached[layer]

    def all_reached(self) -> None:
        """Note that a run has brought every instance to its set."""
        self._reached.clear()

    def learn(self, layer: str, instance: Instance, overrides: Values) -> None:
        """Keep what DescribeStackInstance said of an instance."""
        self._overrides[layer, instance.target] = (instance.last_operation_id, overrides)
        self._passed_by.setdefault((layer, instance.target), set())

    def pass_by(self, entry: Entry) -> None:
        """Note an update of the set that passed by all but the targets that it names.

        It counts only where this process has confirmed the overrides: somebody else's operation can have come in
        between, and now be hidden behind this one.
        """
        if entry.call.action is not Action.UPDATE_SET:
            return
        touched = entry.call.targets
        for (layer, target), operations in self._passed_by.items():
            if layer == entry.call.layer and target not in touched:
                operations.add(entry.operation_id)

    def apply(self, entries: Iterable[Entry]) -> None:
        """Follow operations of ours in their order. Applying the same ones again changes nothing."""
        for entry in entries:
            if entry.call.action in (Action.CREATE_SET, Action.DELETE_SET):
                continue
            if entry.call.action is Action.UPDATE_SET:
                self._reached[entry.call.layer] = set()
            self._reached.get(entry.call.layer, set()).update(entry.call.targets)
            failures = entry.call.targets if entry.state is not EntryState.OVER else set(entry.failures)
            for target in entry.call.targets:
                key = (entry.call.layer, target)
                before = self._overrides.pop(key, None)
                self._passed_by.pop(key, None)
                if target in failures or entry.call.action is Action.DELETE:
                    continue
                if entry.call.overrides or (entry.call.action is Action.CREATE and entry.call.overrides is not None):
                    self._overrides[key] = (entry.operation_id, entry.call.overrides)
                elif before is not None:  # the set is updated, or the instance without a list: its own values stay
                    self._overrides[key] = (entry.operation_id, before[1])

    def stored(self) -> StoredOverrides:
        """The form that is kept."""
        targets: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[Target]] = defaultdict(list)
        for (layer, target), (operation_id, overrides) in self._overrides.items():
            targets[layer, operation_id, tuple(sorted(overrides.items()))].append(target)
        return StoredOverrides(
            tuple(
                _Group(layer, operation_id, dict(values), by_region(targets[layer, operation_id, values]))
                for layer, operation_id, values in sorted(targets)
            ),
            {layer: by_region(reached) for layer, reached in sorted(self._reached.items())},
        )
