"""What happens inside a stack, resource by resource, what must be seen first at the top.

Groups that differ in nothing that is shown become one.

What becomes of the instances, wave by wave and layer by layer.

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
from builders.rollout.render.page import BAD, CARE, FAINT, GOOD, STRONG, Page, Part, columns, target_list
from builders.text import counted_noun, name_list

_EFFECT_SIGNS = {
    Effect.UNKNOWN: ("?", BAD),
    Effect.REPLACE: ("-/+", BAD),
    Effect.MAY_REPLACE: ("-/+?", CARE),
    Effect.REMOVE: ("-", BAD),
    Effect.RETAIN: ("keep", CARE),
    Effect.ADD: ("+", GOOD),
    Effect.MODIFY: ("~", CARE),
    Effect.OUTPUTS: ("~", FAINT),
}
LEGEND = {
    Effect.UNKNOWN: "cannot be compared",
    Effect.REPLACE: "replace",
    Effect.MAY_REPLACE: "may be replaced",
    Effect.REMOVE: "remove",
    Effect.RETAIN: "leaves the stack, and stays",
    Effect.ADD: "add",
    Effect.MODIFY: "modify",
}
_OF_RESOURCES = frozenset(LEGEND) - {Effect.UNKNOWN}
_LISTED = 12
"""Of one effect. Beyond it they are counted: whoever wants all of thirty new alarms asks for JSON."""
_SIGN_COLUMNS, _LONGEST_NAME, _LONGEST_TYPE = 5, 40, 40


def effect_sign(effect: Effect) -> str:
    """What stands before a resource."""
    return _EFFECT_SIGNS[effect][0]


def resource_lines(page: Page, changes: Sequence[Change], indent: int) -> None:
    """Add a line a resource; of what happens to very many, the first and a count."""
    shown = [each for each in changes if each.effect in _OF_RESOURCES]
    name_columns = columns((each.logical_id for each in shown), _LONGEST_NAME)
    type_columns = columns((each.type for each in shown), _LONGEST_TYPE)
    longest = max((len(_why(each)) for each in shown), default=0)
    if indent + _SIGN_COLUMNS + name_columns + type_columns + longest + 4 > page.width:
        type_columns = 0  # no third column then: each line takes what room it has
    for effect in Effect:
        alike = [each for each in changes if each.effect is effect]
        # One line more costs no more than the count.
        listed = alike if len(alike) <= _LISTED + 1 else alike[:_LISTED]
        for each in listed:
            if effect in _OF_RESOURCES:
                _resource(page, each, indent, name_columns, type_columns)
            else:
                _whole_stack(page, each, indent)
        if len(listed) < len(alike):
            meaning = LEGEND.get(effect, "of the whole stack")
            page.more(f"{len(alike) - len(listed):,} more: {meaning}", indent + _SIGN_COLUMNS)


def _resource(page: Page, change: Change, indent: int, name_columns: int, type_columns: int) -> None:
    mark, style = _EFFECT_SIGNS[change.effect]
    why = _why(change)
    name, kind = f"{change.logical_id:{name_columns}}", change.type
    begin = (f"{mark:{_SIGN_COLUMNS}}", style)
    if not why:
        page.line(begin, f"{name}  ", (kind, FAINT), indent=indent, hang=_SIGN_COLUMNS + 2)
    elif indent + _SIGN_COLUMNS + len(name) + max(len(kind), type_columns) + len(why) + 4 <= page.width:
        page.line(begin, f"{name}  ", (f"{kind:{type_columns}}", FAINT), f"  {why}", indent=indent)
    else:
        page.line(begin, f"{name}  ", (kind, FAINT), indent=indent, hang=_SIGN_COLUMNS + 2)
        page.line(why, indent=indent + _SIGN_COLUMNS + 2, hang=3)


def _why(change: Change) -> str:
    parts = [f"by {name_list(_causes(change))}"] if change.causes else []
    if change.retained and change.effect is not Effect.RETAIN:
        parts.append("the old one stays (retained)")
    return "; ".join(parts)


def _causes(change: Change) -> list[str]:
    """The causes, those of one path that follow from several resources in one: SubnetIds.* (A and B are replaced)."""
    by_path: dict[tuple[str, str], list[str]] = {}
    for cause in change.causes:
        path, _, other = cause.partition(" (")
        what, _, verb = other.removesuffix(")").partition(" ")
        by_path.setdefault((path, verb), []).append(what)
    found = []
    for (path, said), others in by_path.items():
        verb = said.replace("is ", "are ", 1) if len(others) > 1 else said
        found.append(f"{path} ({name_list(others)} {verb})" if verb else path)
    return found


def _whole_stack(page: Page, change: Change, indent: int) -> None:
    mark, style = _EFFECT_SIGNS[change.effect]
    what = "outputs " if change.effect is Effect.OUTPUTS else "cannot be compared: "
    page.line((f"{mark:{_SIGN_COLUMNS}}", style), what, name_list(change.causes), indent=indent, hang=_SIGN_COLUMNS + 2)


def merged_groups(groups: Iterable[Group]) -> list[Group]:
    """The groups, those as one that differ in the given names only.

    A name holds an account or a region where it has to be unique, so that the same change would show once for each.
    """
    known: dict[tuple[Change, ...] | None, tuple[Change, ...] | None] = {}
    together: dict[Group, list[Group]] = {}
    for group in groups:
        if group.changes not in known:
            known[group.changes] = _without_names(group.changes)
        alike = dataclasses.replace(group, targets=(), changes=known[group.changes])
        together.setdefault(alike, []).append(group)
    return [
        dataclasses.replace(alike, targets=tuple(sorted({target for group in those for target in group.targets})))
        for alike, those in together.items()
    ]


def numbered_groups(groups: Sequence[Group]) -> dict[tuple[str, tuple[Change, ...]], int]:
    """The different changes of each layer, numbered from one in the order in which they come."""
    numbers: dict[tuple[str, tuple[Change, ...]], int] = {}
    found: dict[str, int] = {}
    for group in groups:
        if group.changes and (group.layer, group.changes) not in numbers:
            found[group.layer] = numbers[group.layer, group.changes] = found.get(group.layer, 0) + 1
    return numbers


def _without_names(changes: tuple[Change, ...] | None) -> tuple[Change, ...] | None:
    return None if changes is None else tuple(dataclasses.replace(each, custom_name="") for each in changes)


_SIGNS = {
    ChangeKind.CREATE: ("+", GOOD),
    ChangeKind.UPDATE: ("~", CARE),
    ChangeKind.OVERRIDE: ("~", CARE),
    ChangeKind.RETRY: ("~", CARE),
    ChangeKind.DELETE: ("-", BAD),
    ChangeKind.INOPERABLE: ("!", BAD),
    ChangeKind.NOTHING: (" ", FAINT),
}
_MEANS = {
    ChangeKind.OVERRIDE: "only its own values change",
    ChangeKind.RETRY: "nothing differs, but an operation failed or stopped before it",
    ChangeKind.INOPERABLE: "passed over",
}
_COMPARED = (ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY, ChangeKind.DELETE)
_ORDER = {kind: number for number, kind in enumerate(ChangeKind)}
_GROUPS_LISTED = 6
"""Of one layer in one wave, the largest of each kind first."""
_LONGEST_LAYER = 24


class WaveGroups:
    """Shows the waves of a plan, and remembers what was shown."""

    def __init__(self, page: Page, plan: Plan) -> None:
        self._page = page
        self._groups = merged_groups(plan.groups)
        self._numbers = numbered_groups(self._groups)
        self._variants = Counter(layer for layer, _ in self._numbers)
        self._seen: set[tuple[str, int]] = set()

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
        idle = [
            layer for layer, groups in by_layer.items() if all(group.kind is ChangeKind.NOTHING for group in groups)
        ]
        busy = [layer for layer in by_layer if layer not in idle]
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for layer in busy:
            alike[self._in_brief(layer, by_layer[layer])].append(layer)
        alone = [layers[0] for layers in alike.values() if len(layers) == 1]
        width = columns(alone, _LONGEST_LAYER)
        for layers in alike.values():
            self._layer(layers, by_layer[layers[0]], width)
        if idle:
            told = f"nothing to do in {name_list(idle, 100)}" if busy else "nothing to do"
            self._page.line((told, FAINT), indent=2)

    def _in_brief(self, layer: str, groups: Sequence[Group]) -> tuple[str, ...]:
        """What layers must have in common to share a line; a layer with more to show shares it with none."""
        if len(groups) > 1 or (groups[0].changes and not self._was_shown(groups[0])):
            return (layer,)
        return "", f"{len(groups[0].targets)} {groups[0].kind}", self._remark(groups[0])

    def _layer(self, layers: Sequence[str], groups: Sequence[Group], width: int) -> None:
        told = sorted(
            (group for group in groups if group.kind is not ChangeKind.NOTHING),
            key=lambda group: (_ORDER[group.kind], -len(group.targets)),
        )
        # The only group of a layer needs no line that says where: the wave's says it.
        alone = len(groups) == 1
        name = f"{layers[0]:{width}}" if len(layers) == 1 else name_list(layers, 100)
        self._page.line(
            (name, STRONG),
            "  " if len(layers) == 1 else ": ",
            *_counts(groups),
            " each" if len(layers) > 1 else "",
            self._remark(told[0]) if alone else "",
            indent=2,
            hang=2 if len(layers) > 1 else len(name) + 2,
        )
        listed = told if len(told) <= _GROUPS_LISTED + 1 else told[:_GROUPS_LISTED]
        for group in listed:
            if not alone:
                mark, style = _SIGNS[group.kind]
                where = f"{group.kind.value} {target_list(group.targets)}{self._remark(group)}"
                self._page.line((f"{mark} ", style), where, indent=4)
            self._inside(group, 4 if alone else 6)
        if left := told[len(listed) :]:
            count = sum(len(group.targets) for group in left)
            self._page.more(f"{count:,} more, in {counted_noun(len(left), 'group')}", indent=4)

    def _remark(self, group: Group) -> str:
        """What stands behind the places of a group."""
        said = [_MEANS[group.kind]] if group.kind in _MEANS else []
        if group.changes == ():
            said.append("no resource changes")
        elif group.changes:
            # Only where a layer changes in several ways does one have to tell them apart.
            several = self._variants[group.layer] > 1
            which = f" [{self._numbers[group.layer, group.changes]}]" if several else ""
            if self._was_shown(group):
                said.append(f"inside as above{which}")
            elif which:
                said.append(f"inside{which}")
        elif group.kind in _COMPARED:
            said.append("not compared resource by resource")
        return f": {'; '.join(said)}" if said else ""

    def _was_shown(self, group: Group) -> bool:
        return bool(group.changes) and (group.layer, self._numbers[group.layer, group.changes or ()]) in self._seen

    def _inside(self, group: Group, indent: int) -> None:
        if group.changes and not self._was_shown(group):
            self._seen.add((group.layer, self._numbers[group.layer, group.changes]))
            resource_lines(self._page, group.changes, indent)


def _counts(groups: Sequence[Group]) -> Iterator[Part]:
    """How many of each kind, in its colour."""
    totals: Counter[ChangeKind] = Counter()
    for group in groups:
        totals[group.kind] += len(group.targets)
    for number, kind in enumerate(kind for kind in ChangeKind if totals[kind]):
        yield ", " if number else ""
        yield f"{totals[kind]:,} {kind.value}", _SIGNS[kind][1]
