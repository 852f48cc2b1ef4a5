"""The operations of a plan, those that are alike on one line.

What stands in the way of a plan: what, where, the way round, what to type.

A plan as a person reads it: from what blocks it, over what changes, to how it is done and how long that takes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from builders.rollout.diff.effects import Effect
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.plan.calls import Action
from builders.rollout.plan.plan import Plan, PlannedHazard, PlannedOperation
from builders.rollout.render import plan_groups
from builders.rollout.render.page import BAD, CARE, FAINT, STRONG, Page, columns, count_by, target_list, utc_time
from builders.rollout.render.plan_groups import WaveGroups
from builders.text import counted_noun, name_list

_LISTED = 12
"""Of one wave: accounts that each have their own values need an operation each."""
_LAYERS_NAMED = 20
_LONGEST_WAVE = 16


class _Alike(NamedTuple):
    """Operations that differ in their layers only, or, where `layers` is given, in their regions only."""

    action: Action
    accounts: int
    at_once: int
    regions: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


def operation_lines(page: Page, plan: Plan) -> None:
    """Add the operations, wave by wave, and about how long they take."""
    if not plan.operations:
        return
    page.title(f"{counted_noun(len(plan.operations), 'operation')}, about {utc_time(plan.minutes)}")
    page.line(("An estimate from what AWS usually takes.", FAINT))
    by_wave: dict[str, list[PlannedOperation]] = defaultdict(list)
    for call in plan.operations:
        by_wave[call.wave].append(call)
    width = columns(by_wave, _LONGEST_WAVE)
    for wave, calls in by_wave.items():
        together = list(_together(calls).items())
        listed = together if len(together) <= _LISTED + 1 else together[:_LISTED]
        for number, (alike, regions) in enumerate(listed):
            begin = f"{wave if number == 0 else '':{width}}"
            page.line((begin, STRONG), f"  {_sentence(alike, regions)}", indent=2, hang=len(begin) + 4)
        if len(listed) < len(together):
            left = sum(len(alike.layers) * len(regions) for alike, regions in together[len(listed) :])
            page.more(counted_noun(left, "more operation"), indent=width + 4)


def _together(calls: Sequence[PlannedOperation]) -> dict[_Alike, list[tuple[str, ...]]]:
    """The regions of each operation, by what several operations have in common."""
    layers: dict[_Alike, list[str]] = defaultdict(list)
    for call in calls:
        layers[_Alike(call.action, call.accounts, call.at_once, call.regions)].append(call.layer)
    regions: dict[_Alike, list[tuple[str, ...]]] = defaultdict(list)
    for alike, those in layers.items():
        regions[alike._replace(regions=(), layers=tuple(those))].append(alike.regions)
    return regions


def _sentence(alike: _Alike, regions: Sequence[tuple[str, ...]]) -> str:
    layers = list(dict.fromkeys(alike.layers))
    often = f" ({len(alike.layers):,} operations)" if len(alike.layers) > len(layers) else ""
    begin = f"{alike.action.value} {name_list(layers, _LAYERS_NAMED)}{often}"
    if not alike.accounts:
        return f"{begin}: the set alone"
    where = " and, apart, in ".join(", ".join(each) for each in regions)
    pace = f"; {alike.at_once:,} at a time" if alike.accounts > 1 else ""
    return f"{begin}: {counted_noun(alike.accounts, 'account')} in {where}{pace}"


def hazard_lines(page: Page, plan: Plan) -> None:
    """Add every blocking hazard, whatever their number: each one alone stops the plan."""
    blocks = sorted(plan.blocks, key=lambda each: each.hazard.acknowledgeable)
    if not blocks:
        return
    page.title(f"Blocked by {counted_noun(len(blocks), 'hazard')}")
    page.line(f"Nothing is deployed before {_condition(blocks)}.")
    for each in blocks:
        page.blank()
        _block(page, each)


def acknowledged_lines(page: Page, plan: Plan) -> None:
    """Add what would block, and was acknowledged."""
    blocks = set(plan.blocks)
    accepted = [each for each in plan.hazards if each not in blocks]
    if accepted:
        page.title("Acknowledged")
    for each in accepted:
        page.line(("! ", CARE), (hazard_title(each), STRONG), f"  {_where(each)}", indent=2)
        page.line(each.hazard.message, indent=4, hang=0)


def hazard_title(each: PlannedHazard) -> str:
    """The layer, and the resource where it is one's."""
    return each.name if each.hazard.resource else each.hazard.layer


def _block(page: Page, each: PlannedHazard) -> None:
    hazard = each.hazard
    page.line(("! ", BAD), (hazard_title(each), STRONG), f"  {_where(each)}", indent=2)
    page.line(hazard.message, indent=4, hang=0)
    # Some ways round end with the name to acknowledge: the next line says what to type.
    way = hazard.remedy.removesuffix(f", or acknowledge {each.name}")
    page.line(("way round: ", STRONG), way, indent=4, hang=2)
    if hazard.acknowledgeable:
        page.line(("to accept: ", STRONG), f"--acknowledge {each.name}", indent=4, hang=2)


def _condition(blocks: Sequence[PlannedHazard]) -> str:
    hard = sum(not each.hazard.acknowledgeable for each in blocks)
    if hard == len(blocks):
        return "each is out of the way; none can be acknowledged"
    if hard:
        first = "the first is" if hard == 1 else f"the first {hard:,} are"
        return f"{first} out of the way, and the others too, or acknowledged"
    return "each is out of the way, or acknowledged"


def _where(each: PlannedHazard) -> str:
    return f"at {target_list(each.targets)}" if each.targets else "everywhere"


_NOTES_LISTED = 12


def plan_text(plan: Plan, width: int = 80) -> Text:
    """A plan in lines of at most `width` columns (40 at least). What is left out for length is in `data(plan)`."""
    page = Page(width)
    page.line((_title(plan), STRONG))
    if plan.nothing_to_do and not plan.operations:
        hazard_lines(page, plan)
        _notes(page, plan)
        page.blank()
        page.line("Nothing to do.")
        return page.text()
    hazard_lines(page, plan)
    _legend(page, plan)
    WaveGroups(page, plan).show()
    acknowledged_lines(page, plan)
    _notes(page, plan)
    operation_lines(page, plan)
    page.say_where_all_is()
    _sum(page, plan)
    return page.text()


def _title(plan: Plan) -> str:
    release = f"release {plan.release}" if plan.release else "what is here"
    wordings = {
        "apply": f"Plan to apply {release} to phase {plan.phase}",
        "rollback": f"Plan to roll phase {plan.phase} back to {release}",
        "remove": f"Plan to remove phase {plan.phase}",
    }
    return wordings.get(plan.command, f"Plan to {plan.command} phase {plan.phase}")


def _legend(page: Page, plan: Plan) -> None:
    there = {change.effect for group in plan.groups for change in group.changes or ()}
    signs = [
        f"{plan_groups.effect_sign(effect)} {meaning}"
        for effect, meaning in plan_groups.LEGEND.items()
        if effect in there
    ]
    if signs:
        page.blank()
        page.line((f"Resources: {', '.join(signs)}", FAINT), hang=11)


def _notes(page: Page, plan: Plan) -> None:
    if plan.notes:
        page.title("Notes")
    for note in plan.notes[:_NOTES_LISTED]:
        page.line(("- ", CARE), note, indent=2)
    if len(plan.notes) > _NOTES_LISTED:
        page.more(counted_noun(len(plan.notes) - _NOTES_LISTED, "more note"), indent=2)


def _sum(page: Page, plan: Plan) -> None:
    page.blank()
    instances = count_by((kind.value, plan.count([kind])) for kind in ChangeKind)
    page.line(("Plan: ", STRONG), instances, hang=6)
    inside = count_by(_inside(plan))
    if inside:
        page.line(f"      {inside}", hang=6)
    if plan.blocks:
        page.line((f"Blocked by {counted_noun(len(plan.blocks), 'hazard')}: see the top.", BAD))


def _inside(plan: Plan) -> Iterator[tuple[str, int]]:
    """How many resources of all instances are changed in which way, where stacks were compared."""
    found: Counter[Effect] = Counter()
    for group in plan.groups:
        for change in group.changes or ():
            found[change.effect] += len(group.targets)
    words = {
        Effect.REPLACE: "replaced",
        Effect.MAY_REPLACE: "perhaps replaced",
        Effect.REMOVE: "removed",
        Effect.RETAIN: "left standing",
        Effect.ADD: "added",
        Effect.MODIFY: "modified",
    }
    for effect, word in words.items():
        yield f"{'resource' if found[effect] == 1 else 'resources'} {word}", found[effect]
