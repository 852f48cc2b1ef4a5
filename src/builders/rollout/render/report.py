"""What a rollout came to, as a person and as a machine reads it: the failures by cause, and what to type next."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from builders.rollout.executor.context import Failure, Report
from builders.rollout.model import Target
from builders.rollout.render.page import BAD, CARE, FAINT, GOOD, STRONG, Page, columns, run_again, target_list
from builders.text import counted_noun

_CAUSES_LISTED = 20
_HELD_LISTED = 12
_LONGEST_LAYER = 24


def report_text(
    report: Report, explained: Mapping[str, str], phase: str, command: str = "apply", width: int = 80
) -> Text:
    """The report. `explained` has the first failed event of a stack, by the status reason that it stands behind."""
    page = Page(width)
    _reached(page, report)
    causes = list(report.causes().items())
    if causes:
        page.title(f"{counted_noun(len(report.failed), 'instance')} failed, for {counted_noun(len(causes), 'cause')}")
    for reason, failures in causes[:_CAUSES_LISTED]:
        page.blank()
        _cause(page, reason, failures, explained.get(reason, ""))
    if left := causes[_CAUSES_LISTED:]:
        count = sum(len(failures) for _, failures in left)
        page.blank()
        page.more(f"{counted_noun(len(left), 'more cause')}, of {count:,} instances", indent=2)
    _held(page, report)
    if report.stopped:
        page.title("Stopped")
        page.line(report.stopped, indent=2)
    page.say_where_all_is()
    _end(page, report, phase, command)
    return page.text()


def report_data(report: Report, explained: Mapping[str, str]) -> dict[str, Any]:
    """The same as a dictionary that `json` can write, with every place."""
    return {
        "good": report.good,
        "operations": report.operations,
        "reached": dict(report.succeeded),
        "stopped": report.stopped,
        "missed": [
            {
                "layer": each.layer,
                "account": each.target.account,
                "region": each.target.region,
                "held": each.skipped,
                "reason": each.reason,
                "first_failed_event": "" if each.skipped else explained.get(each.reason, ""),
                "stack_id": each.stack_id,
            }
            for each in report.failures
        ],
    }


def _reached(page: Page, report: Report) -> None:
    failures = Counter(each.layer for each in report.failures)
    layers = [*report.succeeded, *sorted(failures.keys() - report.succeeded.keys())]
    short = [layer for layer in layers if failures[layer]]
    if short:
        page.line(("Reached", STRONG))
    width = columns(short, _LONGEST_LAYER)
    for layer in short:
        done = report.succeeded.get(layer, 0)
        page.line(f"{layer:{width}}  {done:,} of {done + failures[layer]:,}", indent=2)
    if short and len(short) < len(layers):
        page.line((f"{counted_noun(len(layers) - len(short), 'other layer')}: all", FAINT), indent=2)


def _cause(page: Page, reason: str, failures: Sequence[Failure], event: str) -> None:
    page.line(("x ", BAD), (reason or "no reason was given", STRONG), indent=2)
    if event and event != reason:
        page.line("first failed event: ", event, indent=4)
    for layer, where in _by_layer(failures):
        page.line(f"{layer} at {target_list(where)}", indent=4)


def _held(page: Page, report: Report) -> None:
    """What was not tried, by what it waited for."""
    held: dict[str, list[Failure]] = defaultdict(list)
    for each in report.failures:
        if each.skipped:
            held[each.reason].append(each)
    if not held:
        return
    page.title(f"{counted_noun(sum(map(len, held.values())), 'instance')} not tried")
    causes = sorted(held.items(), key=lambda cause: (-len(cause[1]), cause[0]))
    for reason, failures in causes[:_HELD_LISTED]:
        page.line(("- ", CARE), reason, indent=2)
        for layer, where in _by_layer(failures):
            page.line(f"{layer} at {target_list(where)}", indent=4)
    if len(causes) > _HELD_LISTED:
        page.more(counted_noun(len(causes) - _HELD_LISTED, "more reason"), indent=2)


def _by_layer(failures: Sequence[Failure]) -> Iterator[tuple[str, list[Target]]]:
    found: dict[str, list[Target]] = defaultdict(list)
    for each in failures:
        found[each.layer].append(each.target)
    return iter(found.items())


def _end(page: Page, report: Report, phase: str, command: str) -> None:
    page.blank()
    reached = sum(report.succeeded.values())
    if report.good:
        done = f"{counted_noun(reached, 'instance')} as they shall be" if reached != 1 else "1 instance as it shall be"
        work = counted_noun(report.operations, "operation") if report.operations else "nothing was to do"
        page.line((f"{command}: {done}; {work}.", GOOD))
        return
    page.line(
        (f"{command} did not reach everything: {reached:,} of {reached + len(report.failures):,} instances did.", BAD)
    )
    # The run is over, so that there is nothing to resume: the same command again does what is left.
    page.line("Mend the causes, then do what is left, and nothing twice:")
    page.line((run_again(command, phase), STRONG), indent=2)
    if command == "apply":
        page.line("Or go back:")
        page.line((run_again("rollback", phase), STRONG), indent=2)
