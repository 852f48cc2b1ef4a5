"""What happens inside a stack, resource by resource, what must be seen first at the top."""

from __future__ import annotations

from collections.abc import Sequence

from builders.rollout.changes import Change, Effect
from builders.rollout.showing.page import BAD, CARE, FAINT, GOOD, Page, columns
from builders.rollout.showing.words import names

_SIGNS = {
    Effect.UNKNOWN: ("?", BAD),
    Effect.REPLACE: ("-/+", BAD),
    Effect.MAY_REPLACE: ("-/+?", CARE),
    Effect.REMOVE: ("-", BAD),
    Effect.KEEP: ("keep", CARE),
    Effect.ADD: ("+", GOOD),
    Effect.MODIFY: ("~", CARE),
    Effect.OUTPUTS: ("~", FAINT),
}
LEGEND = {
    Effect.UNKNOWN: "cannot be compared",
    Effect.REPLACE: "replace",
    Effect.MAY_REPLACE: "may be replaced",
    Effect.REMOVE: "remove",
    Effect.KEEP: "leaves the stack, and stays",
    Effect.ADD: "add",
    Effect.MODIFY: "modify",
}
_OF_RESOURCES = frozenset(LEGEND) - {Effect.UNKNOWN}
_LISTED = 12
"""Of one effect. Beyond it they are counted: whoever wants all of thirty new alarms asks for JSON."""
_SIGN_COLUMNS, _LONGEST_NAME, _LONGEST_TYPE = 5, 40, 40


def sign(effect: Effect) -> str:
    """What stands before a resource."""
    return _SIGNS[effect][0]


def show(page: Page, changes: Sequence[Change], indent: int) -> None:
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
    mark, style = _SIGNS[change.effect]
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
    parts = [f"by {names(_causes(change))}"] if change.causes else []
    if change.retained and change.effect is not Effect.KEEP:
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
        found.append(f"{path} ({names(others)} {verb})" if verb else path)
    return found


def _whole_stack(page: Page, change: Change, indent: int) -> None:
    mark, style = _SIGNS[change.effect]
    what = "outputs " if change.effect is Effect.OUTPUTS else "cannot be compared: "
    page.line((f"{mark:{_SIGN_COLUMNS}}", style), what, names(change.causes), indent=indent, hang=_SIGN_COLUMNS + 2)
