"""Overrides that need no DescribeStackInstance: those that an operation of ours gave, while it is the last one.

ListStackInstances names each instance's last operation but not its overrides. An operation that nobody here knows, or
one that did not succeed at the instance, leaves them unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from builders.rollout.model import Instance, Status, Target, Values
from builders.rollout.plan.calls import Action
from builders.rollout.state import serialization
from builders.rollout.state.journal import Entry, State


@dataclass(frozen=True)
class _Group:
    """Places of a layer whose last operation and overrides are the same."""

    layer: str
    operation_id: str
    overrides: Mapping[str, str]
    targets: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Book:
    """known.json."""

    groups: tuple[_Group, ...] = ()


class OverrideCache:
    """Overrides by layer and place, each with the operation after which they held."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Target], tuple[str, Values]] = {}
        self._passed: dict[tuple[str, Target], set[str]] = {}
        """Updates of the set since this process has confirmed what is known of a place."""

    def overrides(self, layer: str, instance: Instance) -> Values | None:
        """What an instance overrides; None unless its last operation is the one that we know, and succeeded there.

        It can be OUTDATED all the same: a new template of the set that has not come to its wave yet makes it so, and
        gives it no other overrides. AWS does not say which operation is then its last one: the one before, or that one.
        """
        key, last = (layer, instance.target), instance.last_operation_id
        operation_id, overrides = self._known.get(key, ("", None))
        passed = self._passed.get(key, set())
        if instance.status is Status.CURRENT or (
            instance.status is Status.OUTDATED and instance.detailed == "SUCCEEDED"
        ):
            known = operation_id == last
        else:
            known = instance.detailed == "PENDING" and bool(passed) and last in {operation_id, *passed}
        if not known:
            return None
        self._passed.setdefault(key, set())
        return overrides

    def learn(self, layer: str, instance: Instance, overrides: Values) -> None:
        """Keep what DescribeStackInstance said of an instance."""
        self._known[layer, instance.target] = (instance.last_operation_id, overrides)
        self._passed.setdefault((layer, instance.target), set())

    def pass_by(self, entry: Entry) -> None:
        """Note an update of the set that passed by all but the places that it names.

        It counts only where this process has found what is known to be true: somebody else's operation, of which
        nobody told us, can have come in between, and now be hidden behind this one.
        """
        if entry.step.action is not Action.UPDATE_SET:
            return
        touched = entry.step.targets
        for (layer, target), operations in self._passed.items():
            if layer == entry.step.layer and target not in touched:
                operations.add(entry.operation_id)

    def fold(self, entries: Iterable[Entry]) -> None:
        """Follow operations of ours in their order. Folding the same ones again changes nothing."""
        for entry in entries:
            if entry.step.action in (Action.CREATE_SET, Action.DELETE_SET):
                continue
            failures = entry.step.targets if entry.state is not State.OVER else set(entry.failures)
            for target in entry.step.targets:
                self._follow(entry, target, target in failures)

    def written(self) -> bytes:
        """The form that is kept."""
        targets: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[Target]] = defaultdict(list)
        for (layer, target), (operation_id, overrides) in self._known.items():
            targets[layer, operation_id, tuple(sorted(overrides.items()))].append(target)
        groups = (
            _Group(layer, operation_id, dict(values), serialization.regions_of(targets[layer, operation_id, values]))
            for layer, operation_id, values in sorted(targets)
        )
        return serialization.written(_Book(tuple(groups)))

    @classmethod
    def read(cls, body: bytes, where: str) -> OverrideCache:
        """From that form again."""
        known = cls()
        for group in serialization.read(_Book, body, where).groups:
            for target in serialization.places_of(group.targets):
                known._known[group.layer, target] = (group.operation_id, group.overrides)
        return known

    def _follow(self, entry: Entry, target: Target, failures: bool) -> None:
        key = (entry.step.layer, target)
        before = self._known.pop(key, None)
        self._passed.pop(key, None)
        if failures or entry.step.action is Action.DELETE:
            return
        if entry.step.action is Action.CREATE or entry.step.overrides:
            self._known[key] = (entry.operation_id, entry.step.overrides or {})
        elif before is not None:  # the set is updated, or the instance without a list: its own values stay
            self._known[key] = (entry.operation_id, before[1])
