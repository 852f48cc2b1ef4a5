"""A plan as a person reads it: what blocks it, what changes, by which operations, and about how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from builders.page import Page, Part, estimated_time, shortlist, target_list
from builders.rollout.model import grouped
from builders.rollout.plan.calls import Action
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, PlannedHazard, PlannedOperation
from builders.rollout.render.waves import EFFECTS, WaveGroups
from builders.stack_diff.effects import Effect
from builders.terminal import BAD, FAINT, STRONG, WARN
from builders.text import counted_noun, name_list

_NOTES_SHOWN = 12
_OPERATIONS_SHOWN = 12
"""Operations of one wave that are shown: accounts that each have their own values need an operation each."""
_OPERATION_LAYERS_NAMED = 20


def add_plan(page: Page, plan: Plan) -> None:
    """Add a plan; `plan_data` has what is left out for length."""
    page.line((_title(plan), STRONG))
    _blocking(page, plan)
    if plan.nothing_to_do and not plan.operations:
        _notes(page, plan)
        page.blank()
        page.line("Nothing to do.")
        return
    there = {change.effect for group in plan.groups for change in group.changes or ()} - {Effect.OUTPUTS}
    signs = [f"{sign} {meaning}" for effect, (sign, _, meaning, _) in EFFECTS.items() if effect in there]
    if signs:
        page.blank()
        page.line((f"Resources: {', '.join(signs)}", FAINT), hang=11)
    WaveGroups(page, plan).show()
    _acknowledged(page, plan)
    _notes(page, plan)
    _operations(page, plan)
    page.point_to_json()
    _totals(page, plan)


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
    page.line(f"Nothing is {'removed' if plan.command == 'remove' else 'deployed'} before {_condition(blocks)}.")
    for each in blocks:
        page.blank()
        _hazard(page, each, BAD)
        # Some remedies end with the name to acknowledge: the next line says what to type.
        remedy = each.hazard.remedy.removesuffix(f", or acknowledge {each.name}")
        if plan.command != "remove":  # whose remedies would be to keep what is removed
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
    for note in page.first(plan.notes, _NOTES_SHOWN, "note", title="Notes"):
        page.line(("- ", WARN), note, indent=2)


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
        parts: list[Part] = [_sentence(*each, regions) for each, regions in shown]
        if left := sum(len(layers) * len(regions) for (*_, layers), regions in alike[len(shown) :]):
            parts.append(page.more(counted_noun(left, "more operation")))
        rows += [((wave if number == 0 else "", STRONG), part) for number, part in enumerate(parts)]
    page.table(rows, indent=2)


def _alike(
    operations: Sequence[PlannedOperation],
) -> dict[tuple[Action, int, int, tuple[str, ...]], list[tuple[str, ...]]]:
    """The regions of each operation, by what several have in common: action, accounts, accounts at once, and layers."""
    layers = grouped(((each.action, each.accounts, each.at_once, each.regions), each.layer) for each in operations)
    return grouped(
        ((action, accounts, at_once, tuple(those)), regions)
        for (action, accounts, at_once, regions), those in layers.items()
    )


def _sentence(
    action: Action, accounts: int, at_once: int, layers: Sequence[str], regions: Sequence[tuple[str, ...]]
) -> str:
    different = list(dict.fromkeys(layers))
    often = f" ({len(layers):,} operations)" if len(layers) > len(different) else ""
    begin = f"{action.value} {name_list(different, _OPERATION_LAYERS_NAMED)}{often}"
    if not accounts:
        return f"{begin}: the stack set only"
    where = " and, separately, in ".join(", ".join(each) for each in regions)
    pace = f"; {at_once:,} at a time" if accounts > 1 else ""
    return f"{begin}: {counted_noun(accounts, 'account')} in {where}{pace}"


def _totals(page: Page, plan: Plan) -> None:
    page.blank()
    instances = ", ".join(f"{count:,} {kind.value}" for kind in ChangeKind if (count := plan.count(kind)))
    page.line(("Plan: ", STRONG), instances, hang=6)
    resources: Counter[Effect] = Counter()
    for group in plan.groups:
        for change in group.changes or ():
            resources[change.effect] += len(group.targets)
    words = [(resources[effect], word) for effect, (*_, word) in EFFECTS.items() if word]
    if changed := ", ".join(f"{counted_noun(count, 'resource')} {word}" for count, word in words if count):
        page.line(changed, indent=6, hang=0)
    if plan.blocks:
        page.line((f"Blocked by {counted_noun(len(plan.blocks), 'hazard')}: see the top.", BAD))
