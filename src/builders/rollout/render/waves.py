"""The waves of a plan: what changes in each, resource by resource, with the values of changed properties.

The same change in many accounts is shown once: a later wave refers to it, and layers of which there is no more to say
share a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.text import Text

from builders.page import Page, Part, joined, shortlist, target_list
from builders.rollout.model import grouped
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, joined_values
from builders.stack_diff.effects import Change, Effect
from builders.stack_diff.values import ChangedValue, differing_items
from builders.terminal import BAD, FAINT, GOOD, STRONG, WARN
from builders.text import counted_noun, name_list

EFFECTS = {
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
"""Resources of one effect that are shown. JSON has all of them."""
_GROUPS_SHOWN = 6
"""Groups of one layer in one wave that are shown, the largest of each kind first."""
_LAYERS_NAMED = 100


class WaveGroups:
    """Shows the waves of a plan, and remembers what was shown."""

    def __init__(self, page: Page, plan: Plan) -> None:
        self._page = page
        self._part = "Round" if plan.command == "bootstrap" else "Wave"
        alike = grouped(((each.wave, each.layer, each.kind, each.changes), each) for each in plan.groups)
        self._groups = list(map(_merged, alike.values()))
        self._variants = grouped(dict.fromkeys((each.layer, each.changes) for each in self._groups if each.changes))
        self._shown: set[tuple[str, tuple[Change, ...]]] = set()

    def show(self) -> None:
        """Add every wave."""
        for wave, groups in grouped((group.wave, group) for group in self._groups).items():
            targets = {target for each in groups for target in each.targets}
            self._page.title(f"{self._part} {wave}: {target_list(targets)}")
            by_layer = grouped((group.layer, group) for group in groups)
            busy = dict.fromkeys(group.layer for group in groups if group.kind is not ChangeKind.NOTHING)
            alike = grouped((self._in_brief(layer, by_layer[layer]), layer) for layer in by_layer if layer in busy)
            for layers in alike.values():
                self._layers(layers, by_layer)
            if idle := [layer for layer in by_layer if layer not in busy]:
                where = f" in {name_list(idle, _LAYERS_NAMED)}" if alike else ""
                self._page.line((f"nothing to do{where}", FAINT), indent=2)

    def _in_brief(self, layer: str, groups: Sequence[Group]) -> tuple[str, ...]:
        """The words that layers must have in common to share a line; a layer with more to show shares it with none."""
        first = groups[0]
        if len(groups) > 1:
            return (layer,)
        brief = f"{len(first.targets)} {first.kind}", self._remark(first)
        if not first.changes or self._was_shown(first):
            return brief
        rows = self._rows({layer: first})
        return (*brief, rows[0].reasons.plain) if len(rows) == 1 and rows[0].reasons else (layer,)

    def _layers(self, layers: Sequence[str], by_layer: Mapping[str, Sequence[Group]]) -> None:
        """Add layers whose groups are alike, or one layer with all of its groups."""
        groups, names = by_layer[layers[0]], (name_list(layers, _LAYERS_NAMED), STRONG)
        each = " each" if len(layers) > 1 else ""
        if len(groups) == 1:  # it needs no line of its own, since it is everywhere in the wave
            self._page.line(names, ": ", _counts(groups), each, self._remark(groups[0]), indent=2)
            self._changes({layer: by_layer[layer][0] for layer in layers}, indent=4)
            return
        self._page.line(names, ": ", _counts(groups), indent=2)
        busy = [group for group in groups if group.kind is not ChangeKind.NOTHING]
        busy.sort(key=lambda group: (list(ChangeKind).index(group.kind), -len(group.targets)))
        shown = shortlist(busy, _GROUPS_SHOWN)
        for group in shown:
            sign, style, _ = _KINDS[group.kind]
            where = f"{group.kind.value} {target_list(group.targets)}{self._remark(group)}"
            self._page.line((f"{sign} ", style), where, indent=4)
            self._changes({group.layer: group}, indent=6)
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
            variants = self._variants[group.layer]
            number = f" [{variants.index(group.changes) + 1}]" if len(variants) > 1 else ""
            if self._was_shown(group):
                remarks.append(f"resource changes as above{number}")
            elif number:
                remarks.append(f"resource changes{number}")
        elif group.kind not in (ChangeKind.CREATE, ChangeKind.INOPERABLE, ChangeKind.NOTHING):
            remarks.append("not compared resource by resource")
        return f": {'; '.join(remarks)}" if remarks else ""

    def _was_shown(self, group: Group) -> bool:
        return (group.layer, group.changes) in self._shown

    def _changes(self, groups: Mapping[str, Group], indent: int) -> None:
        """Add a row for each change, the first and a count where very many differ; the layers of several groups change
        alike."""
        if any(not group.changes or self._was_shown(group) for group in groups.values()):
            return
        self._shown.update((layer, group.changes) for layer, group in groups.items() if group.changes)
        found = self._rows(groups)
        rows: list[Sequence[Part]] = []
        for effect, (sign, style, meaning, _) in EFFECTS.items():
            alike = [each for each in found if each.effect is effect]
            shown = shortlist(alike, _RESOURCES_SHOWN)
            rows += [((sign, style), name_list(each.names, _NAMES_SHOWN), each.text()) for each in shown]
            if left := sum(len(each.names) for each in alike[len(shown) :]):
                rows.append(("", "", self._page.more(f"{left:,} more: {meaning}")))
        self._page.table(rows, indent)

    def _rows(self, groups: Mapping[str, Group]) -> list[_Row]:
        """The changes, in one row where several resources change for the same reasons, from and to the same values."""
        rows: dict[tuple[Effect, str], _Row] = {}
        for layer, group in groups.items():
            values = grouped((each.logical_id, each) for each in group.values)
            for number, change in enumerate(group.changes or ()):
                reasons = self._reasons(change, values.get(change.logical_id, ()))
                key = change.effect, reasons.plain or f"{layer} {number}"
                row = rows.setdefault(key, _Row(change.effect, reasons))
                name = change.logical_id or EFFECTS[change.effect][2]
                row.names.append(f"{layer}/{name}" if len(groups) > 1 else name)
                row.types.add(change.type)
        return list(rows.values())

    def _reasons(self, change: Change, values: Sequence[ChangedValue]) -> Text:
        """The causes of a change, with the old and new values of properties."""
        if not change.logical_id:  # it is of the whole stack
            return joined(name_list(change.causes))
        by_path = grouped((each.path, each) for each in values)
        causes = _causes(change)
        parts = [f"{path} ({self._values(by_path[path])})" if path in by_path else path for path in causes]
        others = [f"{path} ({self._values(each)})" for path, each in by_path.items() if path not in causes]
        reasons = [f"by {name_list(parts, _CAUSES_SHOWN)}"] if parts else []
        reasons += [f"also {name_list(others, _CAUSES_SHOWN)}"] if others else []
        if change.retained and change.effect is not Effect.RETAIN:
            reasons.append("the old one is retained")
        return joined("; ".join(reasons))

    def _values(self, variants: Sequence[ChangedValue]) -> str:
        """The old and the new value, and where, if targets differ."""
        shown = shortlist(variants, _VARIANTS_SHOWN)
        texts = []
        for each in shown:
            pair = " -> ".join(self._value(value) for value in differing_items(each.before, each.after))
            texts.append(f"{pair} at {target_list(each.targets)}" if each.targets else pair)
        if left := len(variants) - len(shown):
            texts.append(self._page.more(f"{left:,} more values")[0])
        return "; ".join(texts)

    def _value(self, value: str | None) -> str:
        if value is None:
            return "none"
        if len(value) <= _LONGEST_VALUE:
            return value or "''"
        return f"{value[:_LONGEST_VALUE]}{self._page.more(counted_noun(len(value) - _LONGEST_VALUE, 'character'))[0]}"


@dataclass
class _Row:
    """Resources that change for the same reasons, with their names and types."""

    effect: Effect
    reasons: Text
    names: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)

    def text(self) -> Text:
        """The properties that change, and why."""
        kind = f"{len(self.types)} types" if len(self.types) > 1 else "".join(self.types)
        return joined((kind, FAINT), "  ", self.reasons) if kind else self.reasons


_CAUSES_SHOWN = 6
_NAMES_SHOWN = 3
_VARIANTS_SHOWN = 3
"""Values of one property that are shown, where targets differ."""
_LONGEST_VALUE = 160


def _merged(alike: Sequence[Group]) -> Group:
    """Groups of one wave, layer, kind and changes as one: the change sets of several may be the same."""
    if len(alike) == 1:
        return alike[0]
    values = {target: group.values_at(target) for group in alike for target in group.targets}
    return replace(alike[0], targets=tuple(sorted(values)), values=joined_values(values))


def _counts(groups: Sequence[Group]) -> Text:
    """The number of instances of each kind, in its colour."""
    totals: Counter[ChangeKind] = Counter()
    for group in groups:
        totals[group.kind] += len(group.targets)
    counted = [Text(f"{totals[kind]:,} {kind.value}", _KINDS[kind][1]) for kind in ChangeKind if totals[kind]]
    return Text(", ").join(counted)


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
