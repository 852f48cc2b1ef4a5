"""Which layers a phase carries, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from builders.rollout.desired.layering import Variant
from builders.rollout.desired.sources import CONNECTIVITY, TRANSIT_GATEWAY
from builders.rollout.desired.templates import NETWORK_PER_PHASE, PHASE, Template
from builders.rollout.file import RolloutFile
from builders.rollout.file.mistakes import dotted, line_of
from builders.spelling import unknown


@dataclass(frozen=True)
class Carried:
    """The layers of a phase: `sets` by StackSets, `plain` in the network account at the places of `joined`.

    `known` has those that are left out too.
    """

    sets: tuple[Template, ...]
    plain: tuple[Template, ...]
    known: tuple[Template, ...]
    joined: tuple[Variant, ...]
    needs: Mapping[str, frozenset[str]]
    problems: tuple[str, ...]

    def outputs_before(self, template: Template) -> frozenset[str]:
        """What the layers that one follows put out: parameters of these names get their values while rolling out."""
        before = [other for other in (*self.sets, *self.plain) if other.layer in template.needs]
        return frozenset(name for other in before for name in other.outputs)


def carried(rollout: RolloutFile, phase: str, templates: Mapping[str, Template], found: Sequence[Variant]) -> Carried:
    """Choose the layers: all of the phase's scopes but those that it leaves out.

    Routes of the phase are made where its network hangs on the transit gateway of our network account.
    """
    left_out = set(rollout.phases[phase].leave_out)
    known = [templates[name] for name in sorted(templates) if templates[name].scope in (PHASE, NETWORK_PER_PHASE)]
    chosen = [template for template in known if template.layer not in left_out]
    sets = tuple(template for template in chosen if template.scope == PHASE)
    joined = tuple(variant for variant in found if rollout.network and _is_joined(variant))
    plain = tuple(template for template in chosen if template.scope == NETWORK_PER_PHASE) if joined else ()
    names = {template.layer for template in (*sets, *plain)}
    needs = {template.layer: template.needs & names for template in (*sets, *plain)}
    problems = tuple(_problems(rollout, phase, known, [*sets, *plain]))
    return Carried(sets, plain, tuple(known), joined, needs, problems)


def _is_joined(variant: Variant) -> bool:
    return variant.own.get(CONNECTIVITY, variant.wide.get(CONNECTIVITY)) == TRANSIT_GATEWAY


def _problems(rollout: RolloutFile, phase: str, known: Sequence[Template], chosen: Sequence[Template]) -> list[str]:
    problems = []
    names = [template.layer for template in known]
    for number, layer in enumerate(rollout.phases[phase].leave_out):
        path = ("phases", phase, "leave_out", number)
        where = f"{rollout.path}, line {line_of(path, rollout.lines)}, {dotted(path)}"
        waiting = sorted(template.layer for template in chosen if layer in template.needs)
        if layer not in names:
            problems.append(f"{where}: {unknown('layer', layer, names)}")
        elif waiting:
            problems.append(f"{where}: {', '.join(waiting)} needs {layer}; leave that out too, or keep {layer}")
    return problems
