"""Exports that another layer imports: CloudFormation neither changes nor removes them while a stack imports them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from builders.rollout.diff.effects import Effect, Hazard, HazardKind, is_same, mentions
from builders.rollout.diff.resources import Comparison, evaluated_body
from builders.rollout.model import Target, Values


@dataclass(frozen=True)
class Imports:
    """The names of the exports that a layer's stack at the place imports now, and those that it shall import."""

    now: frozenset[str]
    then: frozenset[str]


@dataclass(frozen=True)
class ChangedExport:
    """An export that an update removes or gives another value; `certain` is False where the value may stay."""

    name: str
    reason: str
    certain: bool = True


def imports_of(template: str, values: Values, target: Target) -> frozenset[str]:
    """The names of the exports that a stack imports. Raises EvaluationError where they cannot be computed."""
    return evaluated_body(template, values, target)[1]


def exports_of(template: str, values: Values, target: Target) -> Mapping[str, str]:
    """The exports of a stack by name, with their values as `builders.evaluate` tells them."""
    return {name: str(value) for name, value in evaluated_body(template, values, target)[0].exports.items()}


def changed_exports(comparison: Comparison) -> tuple[ChangedExport, ...]:
    """The exports of the stack as it is that the update removes or changes."""
    effects = {change.logical_id: change.effect for change in comparison.changes}
    return tuple(
        changed
        for name, value in sorted(comparison.before.exports.items())
        for changed in [_changed(name, value, comparison.after.exports.get(name), effects)]
        if changed
    )


def export_hazards(layer: str, comparison: Comparison, neighbours: Mapping[str, Imports]) -> Iterator[Hazard]:
    """Yield a hazard for each changed export and the layers of the place that import it."""
    for export in changed_exports(comparison):
        users = sorted(name for name, imports in neighbours.items() if export.name in imports.now)
        if not users:
            continue
        staying = [name for name in users if export.name in neighbours[name].then]
        if staying:
            way = f"two releases: first one that drops the import from {', '.join(staying)}, then this one"
        else:
            way = f"let {', '.join(users)} go first: this release drops the import"
        verb = "is" if export.certain else "may be"
        yield Hazard(
            HazardKind.EXPORT_IN_USE,
            layer,
            export.name,
            f"export {export.name} {verb} {export.reason}; imported by {', '.join(users)}: CloudFormation refuses",
            way,
            # What may come out the same may be tried: where it does not, CloudFormation rolls the update back.
            acknowledgeable=not export.certain,
            needs_order=() if staying else tuple(users),
        )


def _changed(name: str, value: str, after: str | None, effects: Mapping[str, Effect]) -> ChangedExport | None:
    if after is None:
        return ChangedExport(name, "removed")
    if not is_same(value, after):
        return ChangedExport(name, f"changed from {value} to {after}")
    found = {mention.target: mention.attribute for mention in mentions(after)}
    for target, attribute in sorted(found.items()):
        if effects.get(target) is Effect.REPLACE:
            return ChangedExport(name, f"changed, since {target} is replaced", not attribute or _is_identity(attribute))
    for target in sorted(found):
        if effects.get(target) is Effect.MAY_REPLACE:
            return ChangedExport(name, f"changed, since {target} may be replaced", certain=False)
    return None


def _is_identity(attribute: str) -> bool:
    return attribute.endswith(("Arn", "Id"))
