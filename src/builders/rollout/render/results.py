"""The results of a run, with failures by cause and the next command, and of doctor, drift, outputs and bootstrap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from builders import advice
from builders.page import Page, shortlist, target_list
from builders.rollout.checks.drift import STACK, DriftView
from builders.rollout.checks.findings import Diagnosis, Severity
from builders.rollout.checks.outputs import OutputsView
from builders.rollout.executor.context import Failure, Report
from builders.rollout.lifecycle.bootstrap import StackOutcome
from builders.rollout.lifecycle.retained import PurgeResult
from builders.rollout.model import Target, grouped
from builders.rollout.stack_sets import DriftedProperty
from builders.rollout.state.journal import Command
from builders.terminal import BAD, FAINT, GOOD, STRONG, WARN
from builders.text import counted_noun, name_list

_CAUSES_SHOWN = 20
_SKIPPED_SHOWN = 12
_NAMED = 3
_GROUPS_SHOWN = 20
_DIFFERENCES_SHOWN = 20
"""Differences of one group that are shown."""
_FILES_SHOWN = 10


def add_report(
    page: Page,
    report: Report,
    explained: Mapping[str, str],
    phase: str,
    command: Command = Command.APPLY,
    *,
    returns: bool = True,
) -> None:
    """Add the report. `explained` has the first failed event of a stack, by the status reason that StackSets gives.

    `returns` tells whether there is an earlier release to go back to.
    """
    _succeeded(page, report)
    _failed(page, report, explained)
    _skipped(page, report)
    if report.stopped:
        page.title("Stopped")
        page.line(report.stopped, indent=2)
    page.point_to_json()
    _end(page, report, phase, command, returns)


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
        # StackSets gives the text of that event as its reason, most often.
        if event.rpartition("): ")[2].rstrip(".") not in reason:
            page.line("first failed event: ", event, indent=4)
        _layers(page, failures)
    if left := causes[len(shown) :]:
        instances = sum(len(failures) for _, failures in left)
        page.blank()
        page.line(page.more(f"{counted_noun(len(left), 'more cause')}, of {instances:,} instances"), indent=2)


def _skipped(page: Page, report: Report) -> None:
    """Add the instances that were not tried, by the reason."""
    reasons = report.causes(skipped=True)
    title = f"{counted_noun(sum(map(len, reasons.values())), 'instance')} not tried"
    for reason, failures in page.first(list(reasons.items()), _SKIPPED_SHOWN, "reason", title=title):
        page.line(("- ", WARN), reason, indent=2)
        _layers(page, failures)


def _layers(page: Page, failures: Sequence[Failure]) -> None:
    for layer, targets in grouped((each.layer, each.target) for each in failures).items():
        page.line(f"{layer} at {target_list(targets)}", indent=4)


_DONE = {
    Command.APPLY: "as desired",
    Command.ROLLBACK: "as in the release",
    Command.REMOVE: "removed",
    Command.DETACH: "detached",
    Command.ADOPT: "adopted",
}


def _end(page: Page, report: Report, phase: str, command: Command, returns: bool) -> None:
    page.blank()
    succeeded, done = sum(report.succeeded.values()), _DONE[command]
    if report.good:
        work = counted_noun(report.operations, "operation") if report.operations else "no operation was needed"
        page.line((f"{command.value}: {counted_noun(succeeded, 'instance')} {done}; {work}.", GOOD))
        return
    total = succeeded + len(report.failures)
    page.line((f"{command.value} did not succeed everywhere: {succeeded:,} of {total:,} instances are {done}.", BAD))
    # The run is over, so that there is nothing to resume: the same command again does what is left.
    page.line("Fix the causes, then run it again; what is done is not repeated:")
    page.copyable((next_command(command.value, phase), STRONG), indent=2)
    if command is Command.APPLY and returns:
        page.line("Or roll back:")
        page.copyable((next_command("rollback", phase), STRONG), indent=2)


def next_command(command: str, phase: str) -> str:
    """The command to type, with words in capitals for what a person has to fill in."""
    whole = f"rollout-stacksets {command.replace('--account', '--account ACCOUNT')} --phase {phase}"
    return advice.command(whole)


def add_purge(page: Page, items: Sequence[PurgeResult]) -> None:
    """Add the resources that a purge deletes and keeps, target by target: every one, since it asks."""
    page.title("To purge" if items else "Nothing is left to purge")
    for target, own in grouped((each.resource.target, each) for each in items).items():
        page.line(str(target), indent=2)
        for each in own:
            what = f"{each.resource.type.rpartition('::')[2]} {each.resource.physical_id}"
            page.line(("- ", BAD) if each.goes else "  ", f"{what}: {each.detail}", indent=4)


def add_diagnosis(page: Page, diagnosis: Diagnosis) -> None:
    """Add every check in a line, and each finding with its fix."""
    page.title(f"Doctor: phase {diagnosis.phase}")
    page.blank()
    found: Counter[Severity] = Counter()
    for check in diagnosis.checks:
        severities = [finding.severity for finding in check.findings]
        found.update(severities)
        sign = ("!!", _style(*severities)) if severities else ("ok", GOOD)
        page.line(sign, f"  {check.name}")
        for finding in check.findings:
            where = f" ({name_list(finding.where, _NAMED)})" if finding.where else ""
            page.line((finding.severity.value, _style(finding.severity)), f": {finding.what}{where}", indent=4)
            page.line(f"fix: {finding.remedy}", indent=6)
    errors = found.pop(Severity.ERROR, 0)
    others = f", {counted_noun(found.total(), 'other remark')}" if found else ""
    page.blank()
    page.line((f"{counted_noun(errors, 'error') if errors else 'No errors'}{others}", BAD if errors else GOOD))


def _style(*severities: Severity) -> str:
    return BAD if Severity.ERROR in severities else WARN


_DIAGNOSIS = TypeAdapter(Diagnosis)


def doctor_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """The checks as a dictionary that `json` can write."""
    return {"good": diagnosis.good, **_DIAGNOSIS.dump_python(diagnosis, mode="json", by_alias=True)}


_Difference = tuple[str, str, str, str, str, str]
"""Resource, type, kind of difference, property, expected, actual."""


def add_drift(page: Page, view: DriftView) -> None:
    """Add the drift, resource by resource and property by property; accounts that drifted alike are shown once."""
    page.line((f"Drift of phase {view.phase}", STRONG), f": {counted_noun(view.checked, 'instance')} checked")
    groups = list(_alike(view.drifted).items())
    shown = shortlist(groups, _GROUPS_SHOWN)
    for (layer, differences), where in shown:
        page.title(f"{layer} at {target_list(where)}")
        _differences(page, differences)
    if left := groups[len(shown) :]:
        instances = sum(len(where) for _, where in left)
        page.blank()
        page.line(page.more(f"{counted_noun(instances, 'more instance')}, in {counted_noun(len(left), 'group')}"))
    unchecked = grouped((f"{layer}: {reason}", target) for (layer, target), reason in view.unchecked.items())
    for line, where in page.first(list(unchecked.items()), _GROUPS_SHOWN, "reason", title="Not checked"):
        page.line(f"{line} (at {target_list(where)})", indent=2)
    _repair(page, view)
    page.point_to_json()
    page.blank()
    drifted = len({(each.layer, each.target) for each in view.drifted})
    if drifted:
        page.line((f"{counted_noun(drifted, 'instance')} drifted.", BAD))
    elif not view.unchecked:
        page.line(("Nothing drifted.", GOOD))
    else:
        page.line("Nothing drifted in the instances that were checked.")


def _repair(page: Page, view: DriftView) -> None:
    """Add what to do: no operation of a stack set repairs a resource whose template stays as it is, for CloudFormation
    compares templates; a drift-aware change set of the stack compares with the resource itself (CloudFormation user
    guide, "Using drift-aware change sets")."""
    resources = [each for each in view.drifted if each.type != STACK]
    if resources:
        page.title("What to do")
        page.line("Keep the change: write it into the layer or its parameters, and apply.", indent=2)
        page.line("Or revert it, in its account: StackSets does not revert drift, and an apply of the same template "
                  "changes nothing. A drift-aware change set of the stack does, with the present value of each of its "
                  "parameters (ParameterKey=NAME,UsePreviousValue=true):", indent=2)  # fmt: skip
        region = resources[0].target.region
        page.copyable(f"aws cloudformation create-change-set --region {region} --stack-name STACK --change-set-name "
                      "revert-drift --use-previous-template --parameters PARAMETERS --capabilities "
                      "CAPABILITY_NAMED_IAM --deployment-mode REVERT_DRIFT", indent=4)  # fmt: skip
        page.copyable(f"aws cloudformation execute-change-set --region {region} --stack-name STACK --change-set-name "
                      "revert-drift", indent=4)  # fmt: skip
        instances = dict.fromkeys((each.layer, each.target) for each in resources)
        stacks = list(dict.fromkeys(view.stacks[each] for each in instances if each in view.stacks))
        for stack in page.first(stacks, _FILES_SHOWN, "stack"):
            page.copyable(f"STACK: {stack}", indent=4)
        page.line("Then `rollout-stacksets drift` once more.", indent=2)
    if len(resources) < len(view.drifted):
        page.title("Stacks that differ from their set")
        page.line("Somebody updated or deleted them in their account. The next release that changes the layer deploys "
                  "the set's template there; an apply without such a change does not.", indent=2)  # fmt: skip


def drift_data(view: DriftView) -> dict[str, Any]:
    """The drift as a dictionary that `json` can write, with every instance."""
    return {
        "phase": view.phase,
        "checked": view.checked,
        "drifted": [
            {
                "layer": each.layer,
                **each.target._asdict(),
                **dict(zip(each._fields[2:], each[2:], strict=True)),
                "stack_id": view.stacks.get((each.layer, each.target), ""),
            }
            for each in view.drifted
        ],
        "unchecked": [
            {"layer": layer, **target._asdict(), "reason": reason} for (layer, target), reason in view.unchecked.items()
        ],
    }


def _alike(drifted: Iterable[DriftedProperty]) -> dict[tuple[str, tuple[_Difference, ...]], list[Target]]:
    """The targets by layer and differences."""
    by_instance = grouped(((each.layer, each.target), each[2:]) for each in drifted)
    return grouped(
        ((layer, tuple(sorted(differences))), target) for (layer, target), differences in by_instance.items()
    )


def _differences(page: Page, differences: tuple[_Difference, ...]) -> None:
    above = ""
    for resource, kind, difference, path, expected, actual in page.first(differences, _DIFFERENCES_SHOWN, "difference"):
        if resource != above:
            sign = ("~ ", WARN) if path else ("- ", BAD)
            page.line(sign, f"{resource}  ", (kind, FAINT), "" if path else f"  {difference.lower()}", indent=2)
            above = resource
        if path:
            page.line(f"{path}: expected {expected or 'absent'}, is {actual or 'absent'}", indent=6)


def add_outputs(page: Page, view: OutputsView) -> None:
    """Add the files, a line a target where there are few."""
    page.title(f"Outputs of phase {view.phase}: {counted_noun(len(view.written), 'target')}")
    for written in page.first(view.written, _FILES_SHOWN, "target"):
        page.line(str(written.files[-1]), indent=2)
    page.line(f"index: {view.index}", indent=2)
    for target, reason in sorted(view.unread.items()):
        page.line(("not written", BAD), f"  {target}: {reason}")


def outputs_data(view: OutputsView) -> dict[str, Any]:
    """The files as a dictionary that `json` can write."""
    return {
        "phase": view.phase,
        "release": view.release,
        "index": str(view.index),
        "places": [
            {"place": str(each.target), "files": [str(file) for file in each.files], "known": list(each.known)}
            for each in view.written
        ],
        "unread": {str(target): reason for target, reason in sorted(view.unread.items())},
    }


def bootstrap_data(outcomes: Sequence[StackOutcome]) -> list[dict[str, Any]]:
    """The stacks of `bootstrap` as a list that `json` can write."""
    return [
        {
            **each.stack.target._asdict(),
            "layer": each.stack.layer,
            "stack": each.stack.name,
            "state": each.state.value,
            "reason": each.reason,
            "outputs": dict(each.outputs),
        }
        for each in outcomes
    ]
