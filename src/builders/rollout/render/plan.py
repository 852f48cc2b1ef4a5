"""A plan as a person reads it: what blocks it, what changes, by which operations, and about how long they take.

The same change in many accounts is shown once: a later wave refers to it, and layers of which there is no more to say
share a line.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from builders.rollout.diff.changes import ChangeKind
from builders.rollout.diff.effects import Change, Effect
from builders.rollout.model import Target, grouped
from builders.rollout.plan.calls import Action
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, PlannedOperation
from builders.rollout.render.page import (
    BAD,
    FAINT,
    GOOD,
    STRONG,
    WARN,
    Page,
    Part,
    estimated_time,
    joined,
    shortlist,
    target_list,
)
from builders.text import counted_noun, name_list

_EFFECTS = {
    Effect.UNKNOWN: ("?", BAD, "cannot be compared", ""),
    Effect.REPLACE: ("-/+", BAD, "replace", "replaced"),
    Effect.MAY_REPLACE: ("-/+?", WARN, "may be replaced", "possibly replaced"),
    Effect.REMOVE: ("-", BAD, "remove", "removed"),
    Effect.RETAIN: ("keep", WARN, "retained outside the stack", "retained"),
    Effect.ADD: ("+", GOOD, "add", "added"),
    Effect.MODIFY: ("~", WARN, "modify", "modified"),
    Effect.OUTPUTS: ("~", FAINT, "outputs", ""),
}
"""Sign, style, meaning, and the word behind a number of resources; empty for what is not of one resource."""
_KINDS = {
    ChangeKind.CREATE: ("+", GOOD, ""),
    ChangeKind.UPDATE: ("~", WARN, ""),
    ChangeKind.OVERRIDE: ("~", WARN, "only its parameter overrides change"),
    ChangeKind.RETRY: ("~", WARN, "nothing differs, but an earlier operation failed or stopped"),
    ChangeKind.DELETE: ("-", BAD, ""),
    ChangeKind.INOPERABLE: ("!", BAD, "skipped"),
    ChangeKind.ADOPT: (">", GOOD, "imported as it is"),
    ChangeKind.NOTHING: (" ", FAINT, ""),
}
_RESOURCES_SHOWN = 12
"""Of one effect. Who wants all of thirty new alarms asks for JSON."""
_GROUPS_SHOWN = 6
"""Of one layer in one wave, the largest of each kind first."""
_LAYERS_NAMED = 100


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
        for wave, groups in grouped((group.wave, group) for group in self._groups).items():
            self._wave(wave, grouped((group.layer, group) for group in groups))

    def _wave(self, wave: str, by_layer: Mapping[str, Sequence[Group]]) -> None:
        everywhere = {target for groups in by_layer.values() for group in groups for target in group.targets}
        self._page.title(f"Wave {wave}: {target_list(everywhere)}")
        idle = [layer for layer, groups in by_layer.items() if {each.kind for each in groups} == {ChangeKind.NOTHING}]
        busy = [layer for layer in by_layer if layer not in idle]
        alike = grouped((self._in_brief(layer, by_layer[layer]), layer) for layer in busy)
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
        busy.sort(key=lambda group: (list(ChangeKind).index(group.kind), -len(group.targets)))
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
        elif group.kind not in (ChangeKind.CREATE, ChangeKind.INOPERABLE, ChangeKind.NOTHING):
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
        for effect, (sign, style, meaning, _) in _EFFECTS.items():
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
    alike: dict[Group, set[Target]] = defaultdict(set)
    for group in groups:
        changes = group.changes and tuple(dataclasses.replace(each, named="") for each in group.changes)
        alike[dataclasses.replace(group, targets=(), changes=changes)].update(group.targets)
    return [dataclasses.replace(merged, targets=tuple(sorted(targets))) for merged, targets in alike.items()]


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
    if change.effect in (Effect.UNKNOWN, Effect.OUTPUTS):
        return _EFFECTS[change.effect][2], name_list(change.causes)
    reasons = [f"by {name_list(_causes(change))}"] if change.causes else []
    if change.retained and change.effect is not Effect.RETAIN:
        reasons.append("the old one is retained")
    return change.logical_id, joined((change.type, FAINT), f"  {'; '.join(reasons)}")


def _causes(change: Change) -> list[str]:
    """The causes, those of one path that follow from several resources in one: SubnetIds.* (A and B are replaced)."""
    by_path: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cause in change.causes:
        path, _, other = cause.partition(" (")
        resource, _, verb = other.removesuffix(")").partition(" ")
        by_path[path, verb].append(resource)
    return [
        f"{path} ({name_list(others)} {verb.replace('is ', 'are ', 1) if len(others) > 1 else verb})" if verb else path
        for (path, verb), others in by_path.items()
    ]


_NOTES_SHOWN = 12
_OPERATIONS_SHOWN = 12
"""Of one wave: accounts that each have their own values need an operation each."""
_OPERATION_LAYERS_NAMED = 20


def plan_text(plan: Plan, width: int = 80) -> Text:
    """A plan in lines of at most `width` columns (40 at least). `plan_data` has what is left out for length."""
    page = Page(width)
    page.line((_title(plan), STRONG))
    _blocking(page, plan)
    if plan.nothing_to_do and not plan.operations:
        _notes(page, plan)
        page.blank()
        page.line("Nothing to do.")
        return page.text()
    there = {change.effect for group in plan.groups for change in group.changes or ()} - {Effect.OUTPUTS}
    signs = [f"{sign} {meaning}" for effect, (sign, _, meaning, _) in _EFFECTS.items() if effect in there]
    if signs:
        page.blank()
        page.line((f"Resources: {', '.join(signs)}", FAINT), hang=11)
    WaveGroups(page, plan).show()
    _acknowledged(page, plan)
    _notes(page, plan)
    _operations(page, plan)
    page.point_to_json()
    _totals(page, plan)
    return page.text()


def _title(plan: Plan) -> str:
    release = f"release {plan.release}" if plan.release else "these templates"
    titles = {
        "apply": f"Plan to apply {release} to phase {plan.phase}",
        "adopt": f"Plan to adopt stacks of phase {plan.phase} into their stack sets",
        "rollback": f"Plan to roll phase {plan.phase} back to {release}",
    }
    return titles.get(plan.command, f"Plan to {plan.command} phase {plan.phase}")


def _blocking(page: Page, plan: Plan) -> None:
    """Add every blocking hazard, whatever their number: each one alone stops the plan."""
    blocks = sorted(plan.blocks, key=lambda each: each.hazard.acknowledgeable)
    if not blocks:
        return
    page.title(f"Blocked by {counted_noun(len(blocks), 'hazard')}")
    page.line(f"Nothing is deployed before {_condition(blocks)}.")
    for each in blocks:
        page.blank()
        _hazard(page, each, BAD)
        # Some remedies end with the name to acknowledge: the next line says what to type.
        remedy = each.hazard.remedy.removesuffix(f", or acknowledge {each.name}")
        page.line(("remedy: ", STRONG), remedy, indent=4)
        if each.hazard.acknowledgeable:
            page.line(("to accept: ", STRONG), f"--acknowledge {each.name}", indent=4)


def _condition(blocks: Sequence[PlannedHazard]) -> str:
    hard = sum(not each.hazard.acknowledgeable for each in blocks)
    if hard == len(blocks):
        return "each is resolved; none can be acknowledged"
    if hard:
        first = "the first is" if hard == 1 else f"the first {hard:,} are"
        return f"{first} resolved, and the others are resolved or acknowledged"
    return "each is resolved or acknowledged"


def _acknowledged(page: Page, plan: Plan) -> None:
    """Add the hazards that would block, and were acknowledged."""
    blocks = set(plan.blocks)
    accepted = [each for each in plan.hazards if each not in blocks]
    if accepted:
        page.title("Acknowledged")
    for each in accepted:
        _hazard(page, each, WARN)


def _hazard(page: Page, each: PlannedHazard, style: str) -> None:
    name = each.name if each.hazard.resource else each.hazard.layer
    where = f"at {target_list(each.targets)}" if each.targets else "everywhere"
    page.line(("! ", style), (name, STRONG), f"  {where}", indent=2)
    page.line(each.hazard.message, indent=4, hang=0)


def _notes(page: Page, plan: Plan) -> None:
    if plan.notes:
        page.title("Notes")
    for note in page.first(plan.notes, _NOTES_SHOWN, "note"):
        page.line(("- ", WARN), note, indent=2)


class _Alike(NamedTuple):
    """Operations that differ in their layers only, or, where `layers` is given, in their regions only."""

    action: Action
    accounts: int
    at_once: int
    regions: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


def _operations(page: Page, plan: Plan) -> None:
    """Add the operations, wave by wave, and about how long they take."""
    if not plan.operations:
        return
    page.title(f"{counted_noun(len(plan.operations), 'operation')}, about {estimated_time(plan.minutes)}")
    page.line(("An estimate, from how long AWS usually takes.", FAINT))
    rows: list[Sequence[Part]] = []
    for wave, operations in grouped((each.wave, each) for each in plan.operations).items():
        alike = list(_alike(operations).items())
        shown = shortlist(alike, _OPERATIONS_SHOWN)
        parts: list[Part] = [_sentence(*each) for each in shown]
        if left := sum(len(each.layers) * len(regions) for each, regions in alike[len(shown) :]):
            parts.append(page.more(counted_noun(left, "more operation")))
        rows += [((wave if number == 0 else "", STRONG), part) for number, part in enumerate(parts)]
    page.table(rows, indent=2)


def _alike(operations: Sequence[PlannedOperation]) -> dict[_Alike, list[tuple[str, ...]]]:
    """The regions of each operation, by what several operations have in common."""
    layers = grouped(
        (_Alike(each.action, each.accounts, each.at_once, each.regions), each.layer) for each in operations
    )
    return grouped((alike._replace(regions=(), layers=tuple(those)), alike.regions) for alike, those in layers.items())


def _sentence(alike: _Alike, regions: Sequence[tuple[str, ...]]) -> str:
    layers = list(dict.fromkeys(alike.layers))
    often = f" ({len(alike.layers):,} operations)" if len(alike.layers) > len(layers) else ""
    begin = f"{alike.action.value} {name_list(layers, _OPERATION_LAYERS_NAMED)}{often}"
    if not alike.accounts:
        return f"{begin}: the stack set only"
    where = " and, separately, in ".join(", ".join(each) for each in regions)
    pace = f"; {alike.at_once:,} at a time" if alike.accounts > 1 else ""
    return f"{begin}: {counted_noun(alike.accounts, 'account')} in {where}{pace}"


def _totals(page: Page, plan: Plan) -> None:
    page.blank()
    instances = ", ".join(f"{count:,} {kind.value}" for kind in ChangeKind if (count := plan.count([kind])))
    page.line(("Plan: ", STRONG), instances, hang=6)
    resources: Counter[Effect] = Counter()
    for group in plan.groups:
        for change in group.changes or ():
            resources[change.effect] += len(group.targets)
    words = [(resources[effect], word) for effect, (*_, word) in _EFFECTS.items() if word]
    if changed := ", ".join(f"{counted_noun(count, 'resource')} {word}" for count, word in words if count):
        page.line(changed, indent=6, hang=0)
    if plan.blocks:
        page.line((f"Blocked by {counted_noun(len(plan.blocks), 'hazard')}: see the top.", BAD))
