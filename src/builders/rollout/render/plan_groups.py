"""The instances of a plan, wave by wave and layer by layer, with the changes inside their stacks.

The same change in many accounts is shown once: a later wave refers to it, and layers of which there is no more to say
share a line.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from builders.rollout.diff.effects import Change, Effect
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.plan.plan import Group, Plan
from builders.rollout.render.page import BAD, FAINT, GOOD, STRONG, WARN, Page, Part, joined, shortlist, target_list
from builders.text import counted_noun, name_list

_EFFECTS = {
    Effect.UNKNOWN: ("?", BAD, "cannot be compared"),
    Effect.REPLACE: ("-/+", BAD, "replace"),
    Effect.MAY_REPLACE: ("-/+?", WARN, "may be replaced"),
    Effect.REMOVE: ("-", BAD, "remove"),
    Effect.RETAIN: ("keep", WARN, "retained outside the stack"),
    Effect.ADD: ("+", GOOD, "add"),
    Effect.MODIFY: ("~", WARN, "modify"),
    Effect.OUTPUTS: ("~", FAINT, "outputs"),
}
_OF_STACK = frozenset({Effect.UNKNOWN, Effect.OUTPUTS})
"""Not of one resource."""
_KINDS = {
    ChangeKind.CREATE: ("+", GOOD, ""),
    ChangeKind.UPDATE: ("~", WARN, ""),
    ChangeKind.OVERRIDE: ("~", WARN, "only its parameter overrides change"),
    ChangeKind.RETRY: ("~", WARN, "nothing differs, but an earlier operation failed or stopped"),
    ChangeKind.DELETE: ("-", BAD, ""),
    ChangeKind.INOPERABLE: ("!", BAD, "skipped"),
    ChangeKind.NOTHING: (" ", FAINT, ""),
}
_COMPARED = (ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY, ChangeKind.DELETE)
_ORDER = {kind: number for number, kind in enumerate(ChangeKind)}
_RESOURCES_SHOWN = 12
"""Of one effect. Who wants all of thirty new alarms asks for JSON."""
_GROUPS_SHOWN = 6
"""Of one layer in one wave, the largest of each kind first."""
_LAYERS_NAMED = 100


def legend(plan: Plan) -> str:
    """The signs of the resource changes of a plan, with their meanings."""
    there = {change.effect for group in plan.groups for change in group.changes or ()} - {Effect.OUTPUTS}
    return ", ".join(f"{sign} {meaning}" for effect, (sign, _, meaning) in _EFFECTS.items() if effect in there)


class WaveGroups:
    """Shows the waves of a plan, and remembers what was shown."""

    def __init__(self, page: Page, plan: Plan) -> None:
        self._page = page
        self._groups = merged_groups(plan.groups)
        self._numbers = _numbered(self._groups)
        self._variants = Counter(layer for layer, _ in self._numbers)
        self._shown: set[tuple[str, tuple[Change, ...]]] = set()

    def show(self) -> None:
        """Add every wave."""
        by_wave: dict[str, dict[str, list[Group]]] = defaultdict(lambda: defaultdict(list))
        for group in self._groups:
            by_wave[group.wave][group.layer].append(group)
        for wave, by_layer in by_wave.items():
            self._wave(wave, by_layer)

    def _wave(self, wave: str, by_layer: Mapping[str, Sequence[Group]]) -> None:
        everywhere = {target for groups in by_layer.values() for group in groups for target in group.targets}
        self._page.title(f"Wave {wave}: {target_list(everywhere)}")
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        idle = []
        for layer, groups in by_layer.items():
            if all(group.kind is ChangeKind.NOTHING for group in groups):
                idle.append(layer)
            else:
                alike[self._in_brief(layer, groups)].append(layer)
        for layers in alike.values():
            self._layers(layers, by_layer[layers[0]])
        if idle:
            where = f" in {name_list(idle, _LAYERS_NAMED)}" if alike else ""
            self._page.line((f"nothing to do{where}", FAINT), indent=2)

    def _in_brief(self, layer: str, groups: Sequence[Group]) -> tuple[str, ...]:
        """The words that layers must have in common to share a line; a layer with more to show shares it with none."""
        first = groups[0]
        if len(groups) > 1 or (first.changes and not self._was_shown(first)):
            return (layer,)
        return "", f"{len(first.targets)} {first.kind}", self._remark(first)

    def _layers(self, layers: Sequence[str], groups: Sequence[Group]) -> None:
        """Add layers whose groups are alike, or one layer with all of its groups."""
        only = groups[0] if len(groups) == 1 else None
        self._page.line(
            (name_list(layers, _LAYERS_NAMED), STRONG),
            ": ",
            *_counts(groups),
            " each" if len(layers) > 1 else "",
            # The only group of a layer needs no line of its own: it is everywhere in the wave.
            self._remark(only) if only else "",
            indent=2,
        )
        if only:
            self._changes(only, indent=4)
            return
        busy = [group for group in groups if group.kind is not ChangeKind.NOTHING]
        busy.sort(key=lambda group: (_ORDER[group.kind], -len(group.targets)))
        shown = shortlist(busy, _GROUPS_SHOWN)
        for group in shown:
            sign, style, _ = _KINDS[group.kind]
            where = f"{group.kind.value} {target_list(group.targets)}{self._remark(group)}"
            self._page.line((f"{sign} ", style), where, indent=4)
            self._changes(group, indent=6)
        if left := busy[len(shown) :]:
            instances = sum(len(group.targets) for group in left)
            self._page.line(self._page.more(f"{instances:,} more, in {counted_noun(len(left), 'group')}"), indent=4)

    def _remark(self, group: Group) -> str:
        """The words behind the targets of a group."""
        meaning = _KINDS[group.kind][2]
        remarks = [meaning] if meaning else []
        if group.changes == ():
            remarks.append("no resource changes")
        elif group.changes:
            # Only where a layer changes in several ways does a reader have to tell them apart.
            several = self._variants[group.layer] > 1
            number = f" [{self._numbers[group.layer, group.changes]}]" if several else ""
            if self._was_shown(group):
                remarks.append(f"resource changes as above{number}")
            elif number:
                remarks.append(f"resource changes{number}")
        elif group.kind in _COMPARED:
            remarks.append("not compared resource by resource")
        return f": {'; '.join(remarks)}" if remarks else ""

    def _was_shown(self, group: Group) -> bool:
        return (group.layer, group.changes) in self._shown

    def _changes(self, group: Group, indent: int) -> None:
        """Add a row for each resource that changes, the first and a count where very many change alike."""
        if not group.changes or self._was_shown(group):
            return
        self._shown.add((group.layer, group.changes))
        rows: list[Sequence[Part]] = []
        for effect, (sign, style, meaning) in _EFFECTS.items():
            alike = [each for each in group.changes if each.effect is effect]
            shown = shortlist(alike, _RESOURCES_SHOWN)
            rows += [((sign, style), *_change(each)) for each in shown]
            if left := len(alike) - len(shown):
                rows.append(("", "", self._page.more(f"{left:,} more: {meaning}")))
        self._page.table(rows, indent)


def merged_groups(groups: Iterable[Group]) -> list[Group]:
    """The groups, those as one that differ in the given names only.

    A name holds an account or a region where it has to be unique, so that the same change would show once for each.
    """
    alike: dict[Group, list[Group]] = {}
    for group in groups:
        changes = group.changes and tuple(dataclasses.replace(each, custom_name="") for each in group.changes)
        alike.setdefault(dataclasses.replace(group, targets=(), changes=changes), []).append(group)
    return [
        dataclasses.replace(merged, targets=tuple(sorted({target for each in those for target in each.targets})))
        for merged, those in alike.items()
    ]


def _numbered(groups: Sequence[Group]) -> dict[tuple[str, tuple[Change, ...]], int]:
    """The different changes of each layer, numbered from one in the order in which they come."""
    numbers: dict[tuple[str, tuple[Change, ...]], int] = {}
    last: Counter[str] = Counter()
    for group in groups:
        if group.changes and (group.layer, group.changes) not in numbers:
            last[group.layer] += 1
            numbers[group.layer, group.changes] = last[group.layer]
    return numbers


def _counts(groups: Sequence[Group]) -> Iterator[Part]:
    """The number of instances of each kind, in its colour."""
    totals: Counter[ChangeKind] = Counter()
    for group in groups:
        totals[group.kind] += len(group.targets)
    for number, kind in enumerate(kind for kind in ChangeKind if totals[kind]):
        yield ", " if number else ""
        yield f"{totals[kind]:,} {kind.value}", _KINDS[kind][1]


def _change(change: Change) -> tuple[Part, Part]:
    """The name of what changes, and its type with the causes."""
    if change.effect in _OF_STACK:
        return _EFFECTS[change.effect][2], name_list(change.causes)
    reasons = [f"by {name_list(_causes(change))}"] if change.causes else []
    if change.retained and change.effect is not Effect.RETAIN:
        reasons.append("the old one is retained")
    return change.logical_id, joined((change.type, FAINT), f"  {'; '.join(reasons)}")


def _causes(change: Change) -> list[str]:
    """The causes, those of one path that follow from several resources in one: SubnetIds.* (A and B are replaced)."""
    by_path: dict[tuple[str, str], list[str]] = {}
    for cause in change.causes:
        path, _, other = cause.partition(" (")
        resource, _, verb = other.removesuffix(")").partition(" ")
        by_path.setdefault((path, verb), []).append(resource)
    return [
        f"{path} ({name_list(others)} {verb.replace('is ', 'are ', 1) if len(others) > 1 else verb})" if verb else path
        for (path, verb), others in by_path.items()
    ]
