"""`plan --change-sets`: what AWS itself says of every instance that changes, by change sets that nobody executes."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

from builders.errors import RolloutError
from builders.rollout.changes import Change, Effect
from builders.rollout.client.abreast import together
from builders.rollout.client.change_sets import ResourceChange
from builders.rollout.comparing import Kind
from builders.rollout.model import Place, World
from builders.rollout.opening import Opened
from builders.rollout.plan.values import Group, Plan

PREVIEWED = frozenset({Kind.UPDATE, Kind.OVERRIDE, Kind.RETRY})
_MODIFIED = {"True": Effect.REPLACE, "Conditional": Effect.MAY_REPLACE}

Found = dict[tuple[str, Place], tuple[Change, ...] | RolloutError]


def previewed(opened: Opened, world: World, plan: Plan) -> Plan:
    """The plan with the changes that AWS foretells, and a note wherever it foretells more than we did."""
    asked = [(group.layer, place) for group in plan.groups if group.kind in PREVIEWED for place in group.places]
    stack_ids = {
        (layer, place): instance.stack_id
        for layer, state in world.sets.items()
        for place, instance in state.instances.items()
    }

    def preview(key: tuple[str, Place]) -> tuple[Change, ...] | RolloutError:
        layer, place = key
        wanted = opened.wanted.sets[layer]
        try:
            found = opened.client.members.preview(place, stack_ids[key], wanted.template, wanted.values(place))
        except RolloutError as error:
            return error
        return tuple(sorted(map(_change, found), key=lambda each: (list(Effect).index(each.effect), each.logical_id)))

    found: Found = dict(together(preview, [key for key in asked if stack_ids.get(key)]))
    groups = tuple(group for each in plan.groups for group in _regrouped(each, found))
    return dataclasses.replace(plan, groups=groups, notes=(*plan.notes, *dict.fromkeys(_notes(plan, found))))


def _change(change: ResourceChange) -> Change:
    """A change set's words as ours; `Dynamic` tells that AWS itself knows only when it gets there."""
    effect = {"Add": Effect.ADD, "Import": Effect.ADD, "Remove": Effect.REMOVE, "Dynamic": Effect.MAY_REPLACE}.get(
        change.action, _MODIFIED.get(change.replacement, Effect.MODIFY)
    )
    retained = change.policy_action in ("Retain", "ReplaceAndRetain")
    if effect is Effect.REMOVE and retained:
        effect = Effect.KEEP
    causes = tuple(cause.removeprefix("Properties.") for cause in change.causes)
    return Change(change.logical_id, change.type, effect, causes, retained=retained)


def _regrouped(group: Group, found: Found) -> Iterator[Group]:
    """A group in as many as AWS answers differently; where it does not answer, ours stays."""
    together_: dict[tuple[Change, ...] | None, list[Place]] = defaultdict(list)
    for place in group.places:
        answer = found.get((group.layer, place))
        together_[group.changes if answer is None or isinstance(answer, RolloutError) else answer].append(place)
    for changes, places in together_.items():
        yield dataclasses.replace(group, places=tuple(places), changes=changes)


def _notes(plan: Plan, found: Found) -> Iterator[str]:
    for group in plan.groups:
        foretold = {each.logical_id: each.effect for each in group.changes or ()}
        for place in group.places:
            answer = found.get((group.layer, place))
            if isinstance(answer, RolloutError):
                yield f"{group.layer} at {place}: no change set: {answer}"
                continue
            for change in answer or ():
                if change.effect is Effect.REPLACE and foretold.get(change.logical_id) is not Effect.REPLACE:
                    yield (
                        f"{group.layer}: AWS replaces {change.logical_id} ({change.type}), which the schemas did not "
                        "tell; what blocks on replacements does not know of it"
                    )
