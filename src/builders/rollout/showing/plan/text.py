"""A plan as a person reads it: from what blocks it, over what changes, to how it is done and how long that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from builders.rollout.changes import Effect
from builders.rollout.comparing import Kind
from builders.rollout.plan.values import Plan
from builders.rollout.showing.page import BAD, CARE, FAINT, STRONG, Page
from builders.rollout.showing.plan import calls, hazards, resources
from builders.rollout.showing.plan.groups import Waves
from builders.rollout.showing.words import counted, many

_NOTES_LISTED = 12


def text(plan: Plan, width: int = 80) -> Text:
    """A plan in lines of at most `width` columns (40 at least). What is left out for length is in `data(plan)`."""
    page = Page(width)
    page.line((_title(plan), STRONG))
    if plan.nothing_to_do and not plan.calls:
        hazards.show(page, plan)
        _notes(page, plan)
        page.blank()
        page.line("Nothing to do.")
        return page.text()
    hazards.show(page, plan)
    _legend(page, plan)
    Waves(page, plan).show()
    hazards.show_acknowledged(page, plan)
    _notes(page, plan)
    calls.show(page, plan)
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
    signs = [f"{resources.sign(effect)} {meaning}" for effect, meaning in resources.LEGEND.items() if effect in there]
    if signs:
        page.blank()
        page.line((f"Resources: {', '.join(signs)}", FAINT), hang=11)


def _notes(page: Page, plan: Plan) -> None:
    if plan.notes:
        page.title("Notes")
    for note in plan.notes[:_NOTES_LISTED]:
        page.line(("- ", CARE), note, indent=2)
    if len(plan.notes) > _NOTES_LISTED:
        page.more(many(len(plan.notes) - _NOTES_LISTED, "more note"), indent=2)


def _sum(page: Page, plan: Plan) -> None:
    page.blank()
    instances = counted((kind.value, plan.count([kind])) for kind in Kind)
    page.line(("Plan: ", STRONG), instances, hang=6)
    inside = counted(_inside(plan))
    if inside:
        page.line(f"      {inside}", hang=6)
    if plan.blocks:
        page.line((f"Blocked by {many(len(plan.blocks), 'hazard')}: see the top.", BAD))


def _inside(plan: Plan) -> Iterator[tuple[str, int]]:
    """How many resources of all instances are changed in which way, where stacks were compared."""
    found: Counter[Effect] = Counter()
    for group in plan.groups:
        for change in group.changes or ():
            found[change.effect] += len(group.places)
    words = {
        Effect.REPLACE: "replaced",
        Effect.MAY_REPLACE: "perhaps replaced",
        Effect.REMOVE: "removed",
        Effect.KEEP: "left standing",
        Effect.ADD: "added",
        Effect.MODIFY: "modified",
    }
    for effect, word in words.items():
        yield f"{'resource' if found[effect] == 1 else 'resources'} {word}", found[effect]
