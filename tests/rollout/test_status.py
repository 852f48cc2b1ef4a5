"""The status of a phase on the embedded cloud, and how few calls it takes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.rollout.checks.status import InstanceStatus, StatusView, known_stack_sets, run_status
from builders.rollout.config import loading
from builders.rollout.executor import executor
from builders.rollout.executor.current_state import failure_causes
from builders.rollout.model import DesiredState, PlainStackSpec, Target
from builders.rollout.render.status import add_status, status_data
from builders.rollout.state.journal import Command, RunStatus

from .conftest import SUFFIX, Administrator, deploy_plain, plain_stack
from .goldens import shown
from .small_phase import LAYERS, REGIONS, SmallPhase, body, layer_set

OURS = frozenset(f"stackferry-{layer}-{SUFFIX}" for layer in LAYERS)


@pytest.fixture
def phase(administrator: Administrator, members: list[str]) -> SmallPhase:
    return SmallPhase(administrator, members[:2])


def status(phase: SmallPhase, desired: DesiredState) -> tuple[StatusView, int]:
    return run_status(phase.client, desired, phase.store, LAYERS, OURS)


def statuses(view: StatusView, layer: str) -> set[InstanceStatus]:
    return {each.status for each in view.instances[layer].values()}


def test_before_the_first_rollout_everything_is_missing(phase: SmallPhase) -> None:
    view, code = status(phase, phase.desired())

    assert {layer: statuses(view, layer) for layer in view.layers} == {key: {InstanceStatus.MISSING} for key in LAYERS}
    assert (view.release, view.unfinished, code) == ("", None, 1)


def test_a_phase_that_was_rolled_out_is_current_everywhere(phase: SmallPhase) -> None:
    desired = phase.desired()
    phase.run(desired)

    view, code = status(phase, desired)

    assert view.layers == ("network", "database", "monitoring")
    assert {layer: set(view.instances[layer]) for layer in LAYERS} == {key: set(phase.targets) for key in LAYERS}
    assert {layer: statuses(view, layer) for layer in LAYERS} == {key: {InstanceStatus.CURRENT} for key in LAYERS}
    assert view.release == phase.store.last_good()
    assert view.notes[-1].endswith(f"apply {view.release} ended well")
    assert code == 0


def test_status_asks_two_calls_a_set_and_one_for_the_names(phase: SmallPhase) -> None:
    desired = phase.desired()
    phase.run(desired)
    client = phase.connect()

    status(phase, desired)

    assert {name: count for name, count in client.calls.counts.items() if name.startswith("cloudformation")} == Counter(
        {
            "cloudformation:ListStackSets": 1,
            "cloudformation:ListStackInstances": len(LAYERS),
            "cloudformation:ListStackSetOperations": len(LAYERS),
        }
    )


def test_a_failure_is_shown_with_its_reason(phase: SmallPhase) -> None:
    broken: dict[str, Any] = {"Broken": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 100000}}}
    desired = phase.desired(layer_set("network", phase.targets, body("network", **broken)))
    phase.run(desired)

    view, code = status(phase, desired)

    failed = [each for each in view.instances["network"].values() if each.status is InstanceStatus.FAILED]
    assert "Broken" in failed[0].reason
    assert view.release == ""
    assert view.unfinished is not None
    assert (view.unfinished.command, view.unfinished.status, code) == (Command.APPLY, RunStatus.FAILED, 1)


def test_an_instance_whose_own_values_a_failed_run_did_not_bring_is_outdated(phase: SmallPhase) -> None:
    """For StackSets it is CURRENT, and so is its set."""
    phase.run(phase.desired())
    broken: dict[str, Any] = {"Broken": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 100000}}}
    one, *others = sorted(phase.targets)
    values = layer_set("database", {one: {"DelaySeconds": "7"}, **{each: {} for each in others}})
    desired = phase.desired(layer_set("network", phase.targets, body("network", **broken)), values)
    phase.run(desired)

    view, _ = status(phase, desired)

    statuses = view.instances["database"]
    assert [target for target, each in statuses.items() if each.status is not InstanceStatus.CURRENT] == [one]
    assert view.unfinished
    assert statuses[one].reason == f"apply of release {view.unfinished.release} has not come to its own values"


def test_the_counts_of_status_are_those_of_the_run_that_failed(phase: SmallPhase) -> None:
    """Sets to which it did not come are CURRENT for StackSets, with the release before."""
    phase.run(phase.desired())
    broken: dict[str, Any] = {"Broken": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 100000}}}
    second = [layer_set(layer, phase.targets, body(layer, version="2")) for layer in ("database", "monitoring")]
    desired = phase.desired(layer_set("network", phase.targets, body("network", **broken)), *second)
    report = phase.run(desired)

    view, _ = status(phase, desired)

    counts = {layer: [each.status for each in view.instances[layer].values()] for layer in LAYERS}
    current = {layer: each.count(InstanceStatus.CURRENT) for layer, each in counts.items()}
    assert current == dict(report.succeeded)
    assert {each.reason for each in view.instances["monitoring"].values()} == {
        f"apply of release {view.unfinished.release} has not come to its stack set" if view.unfinished else ""
    }


def test_an_instance_that_the_phase_names_no_more_is_leaving(phase: SmallPhase) -> None:
    phase.run(phase.desired())
    kept = [target for target in phase.targets if target.account == phase.accounts[0]]

    view, code = status(phase, phase.desired(*(layer_set(layer, kept) for layer in LAYERS)))

    leaving = {target for target, each in view.instances["network"].items() if each.status is InstanceStatus.LEAVING}
    assert leaving == {Target(phase.accounts[1], region) for region in REGIONS}
    assert code == 1


def test_a_removed_phase_has_no_release_and_says_which_run_removed_it_and_when(phase: SmallPhase) -> None:
    phase.run(phase.desired())
    nothing = dataclasses.replace(phase.desired(), sets={})
    phase.run(nothing, Command.REMOVE)

    view, _ = status(phase, nothing)

    assert (view.layers, view.release) == ((), "")
    last = phase.store.journal.history()[-1]
    assert shown(add_status, view, width=120).startswith(f"Phase dev: removed by run {last.run}, begun {last.began}\n")
    assert status_data(view)["removal"] == {"run": last.run, "began": last.began}


def test_a_phase_that_was_rolled_out_after_its_removal_is_not_called_removed(phase: SmallPhase) -> None:
    phase.run(phase.desired())
    phase.run(dataclasses.replace(phase.desired(), sets={}), Command.REMOVE)
    phase.run(phase.desired())

    view, _ = status(phase, phase.desired())

    assert (view.release, view.removal) == (phase.store.last_good(), None)


def test_detaching_an_account_changes_nothing_about_the_release(phase: SmallPhase) -> None:
    phase.run(phase.desired())
    tools = phase.services()
    executor.begin_run(tools, Command.DETACH, "", ())
    phase.store.journal.close(good=True)

    view, _ = status(phase, phase.desired())

    assert view.release == phase.store.releases.save(phase.desired())


def test_an_operation_that_runs_is_shown(phase: SmallPhase) -> None:
    desired = phase.desired()
    phase.run(desired)
    phase.administrator.fleet.drive(StackSeconds=60, OperationsLagSeconds=0)
    phase.client.sets.detect_drift("stackferry-network-dev", "look", desired.preferences)

    view, _ = status(phase, desired)

    assert [(layer, operation.id) for layer, operation in view.running] == [("network", "look")]


def test_a_stack_set_of_ours_that_belongs_to_no_phase_is_noted(phase: SmallPhase) -> None:
    api = phase.administrator.api("cloudformation")
    for name in ("stackferry-network-forgotten", "stackferry-network-dev", "somebody-elses"):
        api.create_stack_set(
            StackSetName=name,
            TemplateBody=body("network"),
            Parameters=[{"ParameterKey": "EnvironmentSuffix", "ParameterValue": "forgotten"}],
        )

    view, _ = status(phase, phase.desired())

    assert [note.split()[0] for note in view.notes] == ["stackferry-network-forgotten"]


@pytest.fixture
def routed(phase: SmallPhase, administrator: Administrator, number: Callable[[], str]) -> DesiredState:
    """The phase with routes in a network account, of which only the first target has its stack."""
    network = administrator.deployable(number())
    routes = PlainStackSpec("phase_routes", network, body("network"), {target: {} for target in phase.targets})
    first = phase.targets[0]
    name = f"phase-routes-{SUFFIX}-{first.account}"
    deploy_plain(
        phase.client, plain_stack(Target(network, first.region), body("network"), {"EnvironmentSuffix": SUFFIX}, name)
    )
    return dataclasses.replace(phase.desired(), plain={"phase_routes": routes})


def test_the_stacks_of_the_network_account_are_shown_by_their_target(phase: SmallPhase, routed: DesiredState) -> None:
    view, _ = status(phase, routed)

    found = {target: each.status for target, each in view.instances["phase_routes"].items()}
    assert found == {
        target: InstanceStatus.CURRENT if target == phase.targets[0] else InstanceStatus.MISSING
        for target in phase.targets
    }


def test_a_network_account_that_cannot_be_reached_is_noted_and_the_rest_shown(
    phase: SmallPhase, routed: DesiredState
) -> None:
    routes = dataclasses.replace(routed.plain["phase_routes"], account="444444444449")

    view, code = status(phase, dataclasses.replace(routed, plain={"phase_routes": routes}))

    assert code == 1
    assert [note.split(":")[0] for note in view.notes] == [
        f"phase_routes in {region} is not shown" for region in REGIONS
    ]
    assert set(view.instances["network"]) == set(phase.targets)


def test_the_names_of_all_phases_are_known() -> None:
    rollout = loading.load_rollout_file(Path(__file__).parents[2] / "rollout.yaml")

    assert known_stack_sets(rollout, ["network"]) == {
        "stackferry-network-dev",
        "stackferry-network-staging",
        "stackferry-network-prod",
    }


def test_what_a_validation_found_is_told_by_the_report_and_by_status(phase: SmallPhase) -> None:
    broken = {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "red"}}
    desired = phase.desired(layer_set("network", phase.targets[:1], body("network", Broken=broken)))
    report = phase.run(desired)
    (cause,) = failure_causes(phase.client, report).values()
    found = "Broken (AWS::SQS::Queue): extraneous key [Colour] is not permitted at /Resources/Broken/Properties"
    assert found in cause

    view, code = status(phase, desired)
    (shown,) = view.instances["network"].values()
    assert shown.reason.endswith(found)
    assert code == 1
