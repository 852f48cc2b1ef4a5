"""What becomes of the instances, wave by wave and layer by layer.

The same change in many accounts is shown once: a later wave refers to it, and layers of which there is no more to say
share a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from builders.rollout.comparing import Kind
from builders.rollout.plan.values import Group, Plan
from builders.rollout.showing.page import BAD, CARE, FAINT, GOOD, STRONG, Page, Part, columns
from builders.rollout.showing.plan import resources
from builders.rollout.showing.plan.merging import merged, numbered
from builders.rollout.showing.words import many, names, places

_SIGNS = {
    Kind.CREATE: ("+", GOOD),
    Kind.UPDATE: ("~", CARE),
    Kind.OVERRIDE: ("~", CARE),
    Kind.RETRY: ("~", CARE),
    Kind.DELETE: ("-", BAD),
    Kind.INOPERABLE: ("!", BAD),
    Kind.NOTHING: (" ", FAINT),
}
_MEANS = {
    Kind.OVERRIDE: "only its own values change",
    Kind.RETRY: "nothing differs, but an operation failed or stopped before it",
    Kind.INOPERABLE: "passed over",
}
_COMPARED = (Kind.UPDATE, Kind.OVERRIDE, Kind.RETRY, Kind.DELETE)
_ORDER = {kind: number for number, kind in enumerate(Kind)}
_GROUPS_LISTED = 6
"""Of one layer in one wave, the largest of each kind first."""
_LONGEST_LAYER = 24


class Waves:
    """Shows the waves of a plan, and remembers what was shown."""

    def __init__(self, page: Page, plan: Plan) -> None:
        self._page = page
        self._groups = merged(plan.groups)
        self._numbers = numbered(self._groups)
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
        everywhere = {place for groups in by_layer.values() for group in groups for place in group.places}
        self._page.title(f"Wave {wave}: {places(everywhere)}")
        idle = [layer for layer, groups in by_layer.items() if all(group.kind is Kind.NOTHING for group in groups)]
        busy = [layer for layer in by_layer if layer not in idle]
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for layer in busy:
            alike[self._in_brief(layer, by_layer[layer])].append(layer)
        alone = [layers[0] for layers in alike.values() if len(layers) == 1]
        width = columns(alone, _LONGEST_LAYER)
        for layers in alike.values():
            self._layer(layers, by_layer[layers[0]], width)
        if idle:
            told = f"nothing to do in {names(idle, 100)}" if busy else "nothing to do"
            self._page.line((told, FAINT), indent=2)

    def _in_brief(self, layer: str, groups: Sequence[Group]) -> tuple[str, ...]:
        """What layers must have in common to share a line; a layer with more to show shares it with none."""
        if len(groups) > 1 or (groups[0].changes and not self._was_shown(groups[0])):
            return (layer,)
        return "", f"{len(groups[0].places)} {groups[0].kind}", self._remark(groups[0])

    def _layer(self, layers: Sequence[str], groups: Sequence[Group], width: int) -> None:
        told = sorted(
            (group for group in groups if group.kind is not Kind.NOTHING),
            key=lambda group: (_ORDER[group.kind], -len(group.places)),
        )
        # The only group of a layer needs no line that says where: the wave's says it.
        alone = len(groups) == 1
        name = f"{layers[0]:{width}}" if len(layers) == 1 else names(layers, 100)
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
                where = f"{group.kind.value} {places(group.places)}{self._remark(group)}"
                self._page.line((f"{mark} ", style), where, indent=4)
            self._inside(group, 4 if alone else 6)
        if left := told[len(listed) :]:
            count = sum(len(group.places) for group in left)
            self._page.more(f"{count:,} more, in {many(len(left), 'group')}", indent=4)

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
            resources.show(self._page, group.changes, indent)


def _counts(groups: Sequence[Group]) -> Iterator[Part]:
    """How many of each kind, in its colour."""
    totals: Counter[Kind] = Counter()
    for group in groups:
        totals[group.kind] += len(group.places)
    for number, kind in enumerate(kind for kind in Kind if totals[kind]):
        yield ", " if number else ""
        yield f"{totals[kind]:,} {kind.value}", _SIGNS[kind][1]
