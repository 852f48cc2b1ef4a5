"""rollback and remove: the desired state that puts an earlier release back, or none. Pure.

Templates, parameters and packages go back; accounts, regions, waves and data stay as they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection

from builders.rollout.model import CurrentState, DesiredState, PlainStackSpec, StackSetSpec, Target, Values
from builders.rollout.state.releases import Release


def desired_release(release: Release, now: DesiredState, current: CurrentState) -> DesiredState:
    """The release at the targets where the phase is now.

    A target that came since gets the release's templates with its own present values; one that left stays away. A
    layer that the release does not have is removed, which a plan blocks on where it holds data.
    """
    desired = release.desired_state(now)
    sets = {}
    for layer, old in desired.sets.items():
        present, state = now.sets.get(layer), current.sets.get(layer)
        targets = {*(present.overrides if present else ()), *(state.instances if state else ())} & now.targets
        # A layer that is nowhere now is put back where the release had it and the phase still is.
        overrides = _overrides(old, present, targets or old.overrides.keys() & now.targets)
        sets[layer] = dataclasses.replace(old, overrides=overrides)
    plain = {layer: _plain(old, now.plain.get(layer), now) for layer, old in desired.plain.items()}
    return dataclasses.replace(desired, sets=sets, plain=plain)


def desired_nothing(now: DesiredState) -> DesiredState:
    """The phase with no layer at all."""
    plain = {layer: dataclasses.replace(spec, parameters={}) for layer, spec in now.plain.items()}
    return dataclasses.replace(now, sets={}, plain=plain, packages=())


def _overrides(old: StackSetSpec, present: StackSetSpec | None, targets: Collection[Target]) -> dict[Target, Values]:
    declared = json.loads(old.template).get("Parameters", {})
    found: dict[Target, Values] = {}
    for target in sorted(targets):
        if target in old.overrides:
            found[target] = old.overrides[target]
        elif present is not None and target in present.overrides:
            values = present.values(target)
            found[target] = {
                name: value for name, value in values.items() if name in declared and old.parameters.get(name) != value
            }
    return found


def _plain(old: PlainStackSpec, present: PlainStackSpec | None, now: DesiredState) -> PlainStackSpec:
    """The release's stacks where the phase still is; a target that came since keeps its present values."""
    declared = json.loads(old.template).get("Parameters", {})
    parameters = {target: values for target, values in old.parameters.items() if target in now.targets}
    for target, values in (present.parameters if present else {}).items():
        parameters.setdefault(target, {name: value for name, value in values.items() if name in declared})
    return dataclasses.replace(old, parameters=parameters)
