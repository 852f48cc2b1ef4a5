"""The result of a run: the failures by cause, and the command to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from builders.rollout.executor.context import Failure, Report
from builders.rollout.model import grouped
from builders.rollout.render.page import BAD, FAINT, GOOD, STRONG, WARN, Page, next_command, shortlist, target_list
from builders.text import counted_noun

_CAUSES_SHOWN = 20
_SKIPPED_SHOWN = 12


def report_text(
    report: Report, explained: Mapping[str, str], phase: str, command: str = "apply", width: int = 80
) -> Text:
    """The report. `explained` has the first failed event of a stack, by the status reason that StackSets gives."""
    page = Page(width)
    _succeeded(page, report)
    _failed(page, report, explained)
    _skipped(page, report)
    if report.stopped:
        page.title("Stopped")
        page.line(report.stopped, indent=2)
    page.point_to_json()
    _end(page, report, phase, command)
    return page.text()


def report_data(report: Report, explained: Mapping[str, str]) -> dict[str, Any]:
    """The report as a dictionary that `json` can write, with every instance that did not succeed."""
    return {
        "good": report.good,
        "operations": report.operations,
        "reached": dict(report.succeeded),
        "stopped": report.stopped,
        "missed": [
            {
                "layer": each.layer,
                **each.target._asdict(),
                "held": each.skipped,
                "reason": each.reason,
                "first_failed_event": "" if each.skipped else explained.get(each.reason, ""),
                "stack_id": each.stack_id,
            }
            for each in report.failures
        ],
    }


def _succeeded(page: Page, report: Report) -> None:
    """Add how far each layer came that did not succeed everywhere."""
    failures = Counter(each.layer for each in report.failures)
    if not failures:
        return
    page.line(("Succeeded", STRONG))
    layers = [*report.succeeded, *sorted(failures.keys() - report.succeeded.keys())]
    done = {layer: report.succeeded.get(layer, 0) for layer in layers if failures[layer]}
    page.table([(layer, f"{count:,} of {count + failures[layer]:,}") for layer, count in done.items()], indent=2)
    if others := len(layers) - len(done):
        page.line((f"{counted_noun(others, 'other layer')}: all", FAINT), indent=2)


def _failed(page: Page, report: Report, explained: Mapping[str, str]) -> None:
    causes = list(report.causes().items())
    if causes:
        page.title(f"{counted_noun(len(report.failed), 'instance')} failed, for {counted_noun(len(causes), 'cause')}")
    shown = shortlist(causes, _CAUSES_SHOWN)
    for reason, failures in shown:
        page.blank()
        page.line(("x ", BAD), (reason or "StackSets gave no reason", STRONG), indent=2)
        event = explained.get(reason, "")
        if event not in ("", reason):
            page.line("first failed event: ", event, indent=4)
        _layers(page, failures)
    if left := causes[len(shown) :]:
        instances = sum(len(failures) for _, failures in left)
        page.blank()
        page.line(page.more(f"{counted_noun(len(left), 'more cause')}, of {instances:,} instances"), indent=2)


def _skipped(page: Page, report: Report) -> None:
    """Add the instances that were not tried, by the reason."""
    skipped = grouped((each.reason, each) for each in report.failures if each.skipped)
    if skipped:
        page.title(f"{counted_noun(sum(map(len, skipped.values())), 'instance')} not tried")
    reasons = sorted(skipped.items(), key=lambda reason: (-len(reason[1]), reason[0]))
    for reason, failures in page.first(reasons, _SKIPPED_SHOWN, "reason"):
        page.line(("- ", WARN), reason, indent=2)
        _layers(page, failures)


def _layers(page: Page, failures: Sequence[Failure]) -> None:
    for layer, targets in grouped((each.layer, each.target) for each in failures).items():
        page.line(f"{layer} at {target_list(targets)}", indent=4)


def _end(page: Page, report: Report, phase: str, command: str) -> None:
    page.blank()
    succeeded = sum(report.succeeded.values())
    if report.good:
        work = counted_noun(report.operations, "operation") if report.operations else "nothing to do"
        page.line((f"{command}: {counted_noun(succeeded, 'instance')} as desired; {work}.", GOOD))
        return
    total = succeeded + len(report.failures)
    page.line((f"{command} did not succeed everywhere: {succeeded:,} of {total:,} instances did.", BAD))
    # The run is over, so that there is nothing to resume: the same command again does what is left.
    page.line("Fix the causes, then run it again; what is done is not repeated:")
    page.line((next_command(command, phase), STRONG), indent=2)
    if command == "apply":
        page.line("Or roll back:")
        page.line((next_command("rollback", phase), STRONG), indent=2)
