"""The changes that AWS itself foresees for a plan, from change sets that nobody executes (`plan --change-sets`)."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

from builders.aws.calls import attempted
from builders.aws.change_sets import ResourceChange, preview
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import CurrentState, DesiredState, LayerTarget, Target
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, joined_values
from builders.stack_diff.effects import Change, Effect, gravest_first

_COMPARED = frozenset({ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY})
_REPLACEMENTS = {"True": Effect.REPLACE, "Conditional": Effect.MAY_REPLACE}


def with_change_sets(client: Client, desired: DesiredState, current: CurrentState, plan: Plan) -> Plan:
    """The plan with the changes that AWS foresees, and a note wherever it replaces more than the plan says."""
    asked = [(group.layer, target) for group in plan.groups if group.kind in _COMPARED for target in group.targets]
    stack_ids = {key: each for state in current.sets.values() for key, each in state.stack_ids.items()}

    def ask(key: LayerTarget) -> tuple[Change, ...]:
        layer, target = key
        spec = desired.sets[layer]
        found = preview(client.reading(target), stack_ids[key], spec.template, spec.values(target))
        return gravest_first(map(_change, found))

    answers = dict(attempted(ask, [key for key in asked if key in stack_ids]))
    groups, notes = list[Group](), dict[str, None]()
    for group in plan.groups:
        regrouped, said = _regrouped(group, answers)
        groups += regrouped
        notes |= dict.fromkeys(said)
    return dataclasses.replace(plan, groups=tuple(groups), notes=(*plan.notes, *notes))


def _change(change: ResourceChange) -> Change:
    """A change of a change set as one of ours; `Dynamic` means that AWS decides only during the update."""
    effect = {"Add": Effect.ADD, "Import": Effect.ADD, "Remove": Effect.REMOVE, "Dynamic": Effect.MAY_REPLACE}.get(
        change.action, _REPLACEMENTS.get(change.replacement, Effect.MODIFY)
    )
    retained = change.policy_action in ("Retain", "ReplaceAndRetain")
    if effect is Effect.REMOVE and retained:
        effect = Effect.RETAIN
    causes = tuple(cause.removeprefix("Properties.") for cause in change.causes)
    return Change(change.logical_id, change.type, effect, causes, retained=retained)


def _regrouped(
    group: Group, answers: Mapping[LayerTarget, tuple[Change, ...] | RolloutError]
) -> tuple[list[Group], list[str]]:
    """A group in as many as AWS answers differently; where it does not answer, the plan's own changes stay."""
    effects = {each.logical_id: each.effect for each in group.changes or ()}
    alike: dict[tuple[Change, ...] | None, list[Target]] = defaultdict(list)
    notes: list[str] = []
    for target in group.targets:
        answer = answers.get((group.layer, target), group.changes)
        if isinstance(answer, RolloutError):
            notes.append(f"{group.layer} at {target}: no change set: {answer}")
            answer = group.changes
        alike[answer].append(target)
        for change in answer or ():
            if change.effect is Effect.REPLACE and effects.get(change.logical_id) is not Effect.REPLACE:
                hidden = f"AWS replaces {change.logical_id} ({change.type}), which its schema does not show"
                notes.append(f"{group.layer}: {hidden}; no hazard of this plan takes that into account")
    regrouped = []
    for changes, targets in alike.items():
        values = joined_values({target: group.values_at(target) for target in targets})
        regrouped.append(dataclasses.replace(group, targets=tuple(targets), changes=changes, values=values))
    return regrouped, notes
