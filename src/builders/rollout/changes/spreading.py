"""A replaced resource has a new id, so what mentions it changes too, and may be replaced by that in its turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from builders.rollout.changes.differences import Mention, mentions
from builders.rollout.changes.effects import Effect
from builders.rollout.changes.weights import RANK, surely_new, weight_of

Effects = dict[str, tuple[Effect, frozenset[str]]]
"""By logical id: the effect on a resource that stays in the template, and its causes."""

_REPLACING = (Effect.REPLACE, Effect.MAY_REPLACE)


def spread(effects: Effects, staying: Mapping[str, Mapping[str, Any]], region: str) -> Effects:
    """Return the effects with those that follow from replacements.

    `staying` are the evaluated resources of the new template that the old one has too.
    """
    found = dict(effects)
    waiting = [name for name, (effect, _) in found.items() if effect in _REPLACING]
    if not waiting:
        return found
    mentioned = _mentioned(staying)
    while waiting:
        target = waiting.pop()
        effect = found[target][0]
        for name, mention in mentioned[target]:
            added = _effect(staying, name, mention, effect, region)
            cause = f"{mention.path} ({target} {'is' if effect is Effect.REPLACE else 'may be'} replaced)"
            before = found.get(name)
            found[name] = _stronger(before, added, cause)
            # Ranks only rise, and there are three of them: this ends.
            if added in _REPLACING and (before is None or RANK[added] > RANK[before[0]]):
                waiting.append(name)
    return {name: (effect, _without_doubt(causes)) for name, (effect, causes) in found.items()}


def _mentioned(staying: Mapping[str, Mapping[str, Any]]) -> defaultdict[str, list[tuple[str, Mention]]]:
    by_target: defaultdict[str, list[tuple[str, Mention]]] = defaultdict(list)
    for name, body in staying.items():
        for mention in mentions(body.get("Properties", {})):
            by_target[mention.target].append((name, mention))
    return by_target


def _effect(
    staying: Mapping[str, Mapping[str, Any]], name: str, mention: Mention, effect: Effect, region: str
) -> Effect:
    body, target = staying[name], staying[mention.target]
    weight = weight_of(body["Type"], mention.path, body.get("Properties", {}), region)
    certain = effect is Effect.REPLACE and surely_new(target["Type"], mention.attribute, region)
    return weight if certain or weight is Effect.MODIFY else Effect.MAY_REPLACE


def _stronger(
    before: tuple[Effect, frozenset[str]] | None, effect: Effect, cause: str
) -> tuple[Effect, frozenset[str]]:
    if before is None or RANK[effect] > RANK[before[0]]:
        return effect, frozenset({cause})
    if effect is before[0]:
        return effect, before[1] | {cause}
    return before


def _without_doubt(causes: frozenset[str]) -> frozenset[str]:
    """Drop what a cause said before it was known that the other resource is replaced for certain."""
    return frozenset(
        each for each in causes if each.replace(" may be replaced)", " is replaced)") not in causes - {each}
    )
