"""The stored state of a phase: journal, releases and override cache, in one bucket.

The cache has overrides that need no DescribeStackInstance: those that an operation of ours gave, while it is the last
one. ListStackInstances names each instance's last operation but not its overrides. An operation that nobody here knows,
or one that did not succeed at the instance, leaves them unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from builders.aws.objects import Objects
from builders.rollout.model import Instance, Status, Target, Values, grouped
from builders.rollout.plan.calls import Action
from builders.rollout.state.journal import Command, Entry, EntryState, Journal, RunStatus
from builders.rollout.state.releases import Releases
from builders.rollout.state.serialization import Folder, TargetsByRegion, by_region, targets_in


class Store:
    """The state of one suffix; messages name the phase."""

    def __init__(self, objects: Objects, bucket: str, suffix: str, phase: str = "") -> None:
        self.folder = Folder(objects, bucket, suffix, phase or suffix)
        self.journal = Journal(self.folder)
        self.releases = Releases(self.folder)
        self._overrides = self.folder.json("known.json", StoredOverrides())

    def overrides(self) -> OverrideCache:
        """Read the override cache, with what the operations of a run under way have done."""
        cache, run = OverrideCache(self._overrides.read()[0]), self.journal.run()
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
                while releases[-1] != run.to:
                    releases.pop()
                if run.good:
                    releases[-1] = run.release
            elif run.command in (Command.APPLY, Command.ADOPT) and run.good and releases[-1:] != [run.release]:
                releases.append(run.release)
        if before in releases:
            while releases.pop() != before:
                pass
        return releases[-1] if releases else None


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


_NO_UPDATES: frozenset[str] = frozenset()
"""One object for all instances: each call of frozenset() makes another one, of 216 bytes."""


class OverrideCache:
    """Overrides by layer and target, each with the operation after which they held."""

    def __init__(self, stored: StoredOverrides = StoredOverrides()) -> None:
        self._overrides: defaultdict[str, dict[Target, tuple[str, Values]]] = defaultdict(dict)
        for group in stored.groups:
            known = (group.operation_id, group.overrides)
            self._overrides[group.layer].update(dict.fromkeys(targets_in(group.targets), known))
        self._passed_by: defaultdict[str, dict[Target, frozenset[str]]] = defaultdict(dict)
        """Updates of the set elsewhere, since this process has confirmed the overrides of a target."""
        self._reached = {layer: set(targets_in(found)) for layer, found in stored.reached.items()}
        """Targets that operations of ours have touched since the layer's set was updated, by layer."""

    def overrides(self, layer: str, instance: Instance) -> Values | None:
        """The overrides of an instance; None unless its last operation is the one that we know, and succeeded there.

        It can be OUTDATED all the same: a new template of the set that has not come to its wave yet makes it so, and
        gives it no other overrides. AWS does not say which operation is then its last one: the one before, or that one.
        """
        last, confirmed = instance.last_operation_id, self._passed_by[layer]
        operation_id, overrides = self._overrides[layer].get(instance.target, ("", None))
        passed_by = confirmed.get(instance.target, _NO_UPDATES)
        awaits_its_wave = instance.status is Status.OUTDATED and instance.detailed == "SUCCEEDED"
        if instance.status is Status.CURRENT or awaits_its_wave:
            known = operation_id == last
        else:
            known = instance.detailed == "PENDING" and bool(passed_by) and last in {operation_id, *passed_by}
        if not known:
            return None
        confirmed.setdefault(instance.target, _NO_UPDATES)
        return overrides

    def behind(self, layer: str, target: Target) -> bool:
        """Return whether we have updated the set, and have not touched this instance since."""
        return layer in self._reached and target not in self._reached[layer]

    def all_reached(self) -> None:
        """Note that a run has brought every instance to its set."""
        self._reached.clear()

    def learn(self, layer: str, instance: Instance, overrides: Values) -> None:
        """Keep what DescribeStackInstance said of an instance."""
        self._overrides[layer][instance.target] = (instance.last_operation_id, overrides)
        self._passed_by[layer].setdefault(instance.target, _NO_UPDATES)

    def apply(self, entries: Iterable[Entry]) -> None:
        """Follow operations of ours in their order. Applying the same ones again changes nothing.

        An update of the set passes by all but the targets that it names. That counts only where this process has
        confirmed the overrides: somebody else's operation can have come in between, and now be hidden behind this one.
        """
        for entry in entries:
            call, targets = entry.call, entry.call.targets
            if call.action in (Action.CREATE_SET, Action.DELETE_SET):
                continue
            overrides, confirmed = self._overrides[call.layer], self._passed_by[call.layer]
            if call.action is Action.UPDATE_SET:
                self._reached[call.layer] = set()
                one_object_for_all: dict[frozenset[str], frozenset[str]] = {}
                for target in confirmed.keys() - targets:
                    operations = confirmed[target] | {entry.operation_id}
                    confirmed[target] = one_object_for_all.setdefault(operations, operations)
            self._reached.get(call.layer, set()).update(targets)
            failures = targets if entry.state is not EntryState.OVER else set(entry.failures)
            for target in targets:
                before = overrides.pop(target, None)
                confirmed.pop(target, None)
                if target in failures or call.action is Action.DELETE:
                    continue
                if call.overrides or (call.action is Action.CREATE and call.overrides is not None):
                    overrides[target] = (entry.operation_id, call.overrides)
                elif before is not None:  # the set is updated, or the instance without a list: its own values stay
                    overrides[target] = (entry.operation_id, before[1])

    def stored(self) -> StoredOverrides:
        """The form that is kept."""
        targets = grouped(
            ((layer, operation_id, tuple(sorted(overrides.items()))), target)
            for layer, by_target in self._overrides.items()
            for target, (operation_id, overrides) in by_target.items()
        )
        return StoredOverrides(
            tuple(
                _Group(layer, operation_id, dict(values), by_region(targets[layer, operation_id, values]))
                for layer, operation_id, values in sorted(targets)
            ),
            {layer: by_region(reached) for layer, reached in sorted(self._reached.items())},
        )
