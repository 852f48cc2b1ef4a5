"""The fall-back: the cut-over mirrored. The target is closed, and the source is opened again with all that was written.

Afterwards the target stands closed as before the first cut-over, and `start` loads it anew.
"""

from __future__ import annotations

import time

from builders import naming
from builders.migration.changes import Changes
from builders.migration.journal import OPEN, Details
from builders.migration.schema import moments
from builders.migration.switchover import cutover
from builders.migration.switchover.fence import FENCE_SECONDS
from builders.migration.switchover.steps import Context, Step, outstanding


def steps(*, keep_reads: bool) -> list[Step]:
    """The fall-back's steps, in their order."""
    reads = "reads go on" if keep_reads else "close its logins and end its sessions"
    return [
        Step("settle", "compare what changed since the cut-over, while the application still writes", cutover.settle),
        Step(cutover.FENCE, f"close the target to the application's writes; {reads}", cutover.close, cutover.survey,
             cutover.let_in_again, cutover.stands, urgent=True),
        Step("marker", "prove by a marker that all of the target has arrived in the source", cutover.prove),
        Step(cutover.STOP, "ask the task of the way back to stop", cutover.stop, cutover.slots_of_task, cutover.go_on),
        Step("compare", "compare what changed since the cut-over, exactly", cutover.compare),
        Step("sequences", "set the source's sequences, with a margin", cutover.carry_sequences),
        Step("stopped", "wait until the task of the way back has stopped", cutover.wait_for_stop),
        Step("harden", "put on the source what was taken off for the way back", cutover.harden,
             undo=cutover.soften_again),
        Step("closed", "see that the fences of both sides stand on every table", cutover.check_fences),
        Step(OPEN, "open the source to the application", _open),
        Step("close-logins", "close the target's logins, as they were before the cut-over", _close_logins),
        Step("slots", "drop the slots of the target", _drop_slots),
        Step("unfence", "take the triggers of the fence off the source", _remove_source_fence),
        Step("complete", "validate constraints, gather statistics", cutover.complete),
    ]  # fmt: skip


def _open(context: Context, _details: Details) -> Details:
    """Open the source; the journal is on the other side, so from the beginning of this a run only goes forward."""
    source = outstanding(context.journal.entries(), "source")
    if source is not None:
        with context.source.transaction():
            context.fence("source").lift(source)
    return {"lifted": "source"}


def _close_logins(context: Context, _details: Details) -> None:
    """Let no role of the application log in to the target, and end the sessions of readers."""
    opened = [each for each in moments.kept(context.target, "opening") if each.is_done]
    for definition in reversed(opened):
        moments.take_off(context.target, context.target, definition)
    for note in context.fence("target").end_sessions(time.monotonic() + FENCE_SECONDS):
        context.say(note)


def _drop_slots(context: Context, details: Details) -> None:
    cutover.drop_slots(context, details)
    cutover.drop_slot(context.target, naming.FALLBACK_SLOT)
    Changes(context.target, context.target, context.schemas).drop()


def _remove_source_fence(context: Context, _details: Details) -> None:
    context.fence("source").remove()
