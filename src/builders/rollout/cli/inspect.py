"""status, outputs, drift and doctor, as they are called: they only look, but for the files of `outputs`.

`plan --change-sets`: what AWS itself says of every instance that changes, by change sets that nobody executes.

bootstrap, as it is called.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builders import naming, progress
from builders.errors import RolloutError
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.stacks import ResourceChange
from builders.rollout.checks import findings as checks_findings
from builders.rollout.checks.doctor import run_doctor
from builders.rollout.checks.drift import DriftOptions, run_drift
from builders.rollout.checks.findings import CheckedPhase
from builders.rollout.checks.outputs import run_outputs
from builders.rollout.checks.status import known_stack_sets, run_status
from builders.rollout.cli import runs
from builders.rollout.config.sources import SharedOutputs
from builders.rollout.diff.effects import Change, Effect
from builders.rollout.diff.instances import ChangeKind
from builders.rollout.executor.polling import PollInterval
from builders.rollout.lifecycle.bootstrap import StackOutcome, deploy_stacks
from builders.rollout.model import CurrentState, Target
from builders.rollout.phase import Phase, PhaseConnection, shared_outputs
from builders.rollout.plan.plan import Group, Plan
from builders.rollout.render import findings
from builders.rollout.render.status import status_data, status_text
from builders.rollout.state.journal import RunStatus
from builders.rollout.state.store import Store

if TYPE_CHECKING:
    from builders.rollout.cli.main import GlobalOptions


def status(options: GlobalOptions, *, phase: str, as_json: bool) -> int:
    """Show a phase as it stands."""
    opened = runs.open_phase(options, phase)
    ours = known_stack_sets(opened.rollout, opened.layers)
    view, code = run_status(opened.client, opened.desired, opened.store, opened.layers, ours)
    runs.print_result(lambda: status_data(view), lambda width: status_text(view, width), as_json)
    return code


def outputs(options: GlobalOptions, *, phase: str, outputs_dir: Path, as_json: bool) -> int:
    """Write what every stack put out."""
    opened = runs.open_phase(options, phase)
    release = opened.store.last_good() or ""
    view, code = run_outputs(opened.client, opened.desired, opened.shared, opened.layers, release, outputs_dir)
    runs.print_result(lambda: findings.outputs_data(view), lambda width: findings.outputs_text(view, width), as_json)
    return code


def drift(
    options: GlobalOptions, *, phase: str, layers: Sequence[str], deep: bool, poll_seconds: float, as_json: bool
) -> int:
    """Detect drift, wait, and show what drifted."""
    opened = runs.open_phase(options, phase)
    how = DriftOptions(layers=layers, deep=deep, poll_interval=PollInterval(poll_seconds), say=progress.say)
    known = opened.store.overrides()
    view, code = run_drift(opened.client, opened.desired, opened.layers, known, how)
    run = opened.store.journal.run()
    if run is None or run.status is not RunStatus.RUNNING:  # whose process writes down what it knows itself
        opened.store.save_overrides(known)
    runs.print_result(lambda: findings.drift_data(view), lambda width: findings.drift_text(view, width), as_json)
    return code


def doctor(options: GlobalOptions, *, phase: str, as_json: bool) -> int:
    """Run all checks, whether or not anything stands yet."""
    connection = runs.connect(options, phase)
    shared, store = _as_far_as_it_stands(connection)
    patient = CheckedPhase.of(
        connection.client, connection.rollout, phase, connection.templates, shared, connection.members, store
    )
    diagnosis, code = run_doctor(patient)
    runs.print_result(
        lambda: checks_findings.diagnosis_data(diagnosis), lambda width: findings.doctor_text(diagnosis, width), as_json
    )
    return code


def _as_far_as_it_stands(connection: PhaseConnection) -> tuple[SharedOutputs, Store | None]:
    try:
        shared = shared_outputs(connection.client, connection.rollout, connection.phase)
    except RolloutError as error:
        progress.say(str(error))
        return SharedOutputs(), None
    home = connection.rollout.home
    return shared, Store(
        connection.client.objects(home), shared.tooling[home][naming.ARTIFACTS_BUCKET], connection.suffix
    )


PREVIEWED = frozenset({ChangeKind.UPDATE, ChangeKind.OVERRIDE, ChangeKind.RETRY})
_MODIFIED = {"True": Effect.REPLACE, "Conditional": Effect.MAY_REPLACE}

Found = dict[tuple[str, Target], tuple[Change, ...] | RolloutError]


def previewed(opened: Phase, current: CurrentState, plan: Plan) -> Plan:
    """The plan with the changes that AWS foretells, and a note wherever it foretells more than we did."""
    asked = [(group.layer, target) for group in plan.groups if group.kind in PREVIEWED for target in group.targets]
    stack_ids = {
        (layer, target): instance.stack_id
        for layer, state in current.sets.items()
        for target, instance in state.instances.items()
    }

    def preview(key: tuple[str, Target]) -> tuple[Change, ...] | RolloutError:
        layer, target = key
        desired = opened.desired.sets[layer]
        try:
            found = opened.client.members.preview(target, stack_ids[key], desired.template, desired.values(target))
        except RolloutError as error:
            return error
        return tuple(sorted(map(_change, found), key=lambda each: (list(Effect).index(each.effect), each.logical_id)))

    found: Found = dict(concurrently(preview, [key for key in asked if stack_ids.get(key)]))
    groups = tuple(group for each in plan.groups for group in _regrouped(each, found))
    return dataclasses.replace(plan, groups=groups, notes=(*plan.notes, *dict.fromkeys(_notes(plan, found))))


def _change(change: ResourceChange) -> Change:
    """A change set's words as ours; `Dynamic` tells that AWS itself knows only when it gets there."""
    effect = {"Add": Effect.ADD, "Import": Effect.ADD, "Remove": Effect.REMOVE, "Dynamic": Effect.MAY_REPLACE}.get(
        change.action, _MODIFIED.get(change.replacement, Effect.MODIFY)
    )
    retained = change.policy_action in ("Retain", "ReplaceAndRetain")
    if effect is Effect.REMOVE and retained:
        effect = Effect.RETAIN
    causes = tuple(cause.removeprefix("Properties.") for cause in change.causes)
    return Change(change.logical_id, change.type, effect, causes, retained=retained)


def _regrouped(group: Group, found: Found) -> Iterator[Group]:
    """A group in as many as AWS answers differently; where it does not answer, ours stays."""
    together_: dict[tuple[Change, ...] | None, list[Target]] = defaultdict(list)
    for target in group.targets:
        answer = found.get((group.layer, target))
        together_[group.changes if answer is None or isinstance(answer, RolloutError) else answer].append(target)
    for changes, targets in together_.items():
        yield dataclasses.replace(group, targets=tuple(targets), changes=changes)


def _notes(plan: Plan, found: Found) -> Iterator[str]:
    for group in plan.groups:
        foretold = {each.logical_id: each.effect for each in group.changes or ()}
        for target in group.targets:
            answer = found.get((group.layer, target))
            if isinstance(answer, RolloutError):
                yield f"{group.layer} at {target}: no change set: {answer}"
                continue
            for change in answer or ():
                if change.effect is Effect.REPLACE and foretold.get(change.logical_id) is not Effect.REPLACE:
                    yield (
                        f"{group.layer}: AWS replaces {change.logical_id} ({change.type}), which the schemas did not "
                        "tell; what blocks on replacements does not know of it"
                    )


DONE, FAILED = 0, 1


def bootstrap(options: GlobalOptions, *, phase: str, as_json: bool) -> int:
    """Deploy the plain stacks that a phase stands on, and tell what came of each as it comes."""
    connection = runs.connect(options, phase)
    tell = (lambda _outcome: None) if as_json else _tell
    outcomes = deploy_stacks(
        connection.client, connection.rollout, phase, connection.templates, connection.members, tell
    )
    if as_json:
        click.echo(json.dumps([_data(each) for each in outcomes], indent=1, sort_keys=True))
    failed = [each for each in outcomes if not each.succeeded]
    if failed:
        progress.say(f"{len(failed)} of {len(outcomes)} stacks do not stand; mend what is said above and run it again")
    return FAILED if failed else DONE


def _tell(outcome: StackOutcome) -> None:
    click.echo(str(outcome))


def _data(outcome: StackOutcome) -> dict[str, object]:
    step = outcome.stack
    return {
        "account": step.account,
        "region": step.region,
        "layer": step.layer,
        "stack": step.name,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "outputs": dict(outcome.outputs),
    }
