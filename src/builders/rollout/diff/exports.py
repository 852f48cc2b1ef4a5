"""Exports of a stack that an update removes or changes, and the exports that stacks import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builders.rollout.diff.effects import Change, Effect, is_same, references, surely_replaced
from builders.rollout.diff.resources import Comparison
from builders.rollout.diff.templates import evaluate_template
from builders.rollout.model import Target, Values


@dataclass(frozen=True)
class Imports:
    """The names of the exports that a layer's stack imports in an account and region, before and after."""

    before: frozenset[str]
    after: frozenset[str]


@dataclass(frozen=True)
class ChangedExport:
    """An export that an update removes or gives another value; `certain` is False where the value may stay."""

    name: str
    reason: str
    certain: bool = True


def imports_of(template: str, values: Values, target: Target) -> frozenset[str]:
    """The names of the exports that a stack imports. Raises `EvaluationError` where they cannot be computed."""
    return evaluate_template(template, values, target)[1]


def changed_exports(comparison: Comparison) -> tuple[ChangedExport, ...]:
    """The exports of the deployed stack that the update removes or changes."""
    changes = {change.logical_id: change for change in comparison.changes}
    found = (
        _changed(name, value, comparison.after.exports.get(name), changes, comparison.region)
        for name, value in sorted(comparison.before.exports.items())
    )
    return tuple(filter(None, found))


def _changed(
    name: str, value: str, after: str | None, changes: Mapping[str, Change], region: str
) -> ChangedExport | None:
    if after is None:
        return ChangedExport(name, "removed")
    if not is_same(value, after):
        return ChangedExport(name, f"changed from {value} to {after}")
    found = sorted({reference.logical_id: reference.attribute for reference in references(after)}.items())
    for effect, verb in ((Effect.REPLACE, "is"), (Effect.MAY_REPLACE, "may be")):
        for logical_id, attribute in found:
            change = changes.get(logical_id)
            if change is not None and change.effect is effect:
                certain = effect is Effect.REPLACE and surely_replaced(change.type, attribute, region)
                return ChangedExport(name, f"changed, since {logical_id} {verb} replaced", certain)
    return None
