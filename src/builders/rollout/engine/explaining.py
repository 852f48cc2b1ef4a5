"""Why stacks failed: what their own events say, beside what StackSets pass on."""

from __future__ import annotations

from builders.errors import RolloutError
from builders.rollout.client.members import Members
from builders.rollout.engine.report import Report


def causes(members: Members, report: Report) -> dict[str, str]:
    """The first failed event of one stack for each reason, since those of one reason failed alike."""
    found: dict[str, str] = {}
    for reason, those in report.causes().items():
        example = next((each for each in those if each.stack_id), None)
        if example is None:
            continue
        try:
            event = members.first_failure(example.place, example.stack_id)
        except RolloutError as error:
            event = f"its events cannot be read: {error}"
        if event and event not in reason:
            found[reason] = f"{example.layer} at {example.place}: {event}"
    return found
