"""What stands in the way of a plan: what, where, the way round, what to type."""

from __future__ import annotations

from collections.abc import Sequence

from builders.rollout.plan.values import Plan, PlannedHazard
from builders.rollout.showing.page import BAD, CARE, STRONG, Page
from builders.rollout.showing.words import many, places


def show(page: Page, plan: Plan) -> None:
    """Add every blocking hazard, whatever their number: each one alone stops the plan."""
    blocks = sorted(plan.blocks, key=lambda each: each.hazard.acknowledgeable)
    if not blocks:
        return
    page.title(f"Blocked by {many(len(blocks), 'hazard')}")
    page.line(f"Nothing is deployed before {_condition(blocks)}.")
    for each in blocks:
        page.blank()
        _block(page, each)


def show_acknowledged(page: Page, plan: Plan) -> None:
    """Add what would block, and was acknowledged."""
    blocks = set(plan.blocks)
    accepted = [each for each in plan.hazards if each not in blocks]
    if accepted:
        page.title("Acknowledged")
    for each in accepted:
        page.line(("! ", CARE), (title(each), STRONG), f"  {_where(each)}", indent=2)
        page.line(each.hazard.message, indent=4, hang=0)


def title(each: PlannedHazard) -> str:
    """The layer, and the resource where it is one's."""
    return each.name if each.hazard.resource else each.hazard.layer


def _block(page: Page, each: PlannedHazard) -> None:
    hazard = each.hazard
    page.line(("! ", BAD), (title(each), STRONG), f"  {_where(each)}", indent=2)
    page.line(hazard.message, indent=4, hang=0)
    # Some ways round end with the name to acknowledge: the next line says what to type.
    way = hazard.way_round.removesuffix(f", or acknowledge {each.name}")
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
    return f"at {places(each.places)}" if each.places else "everywhere"
