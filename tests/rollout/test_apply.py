"""Apply on the embedded cloud: waves, gates, failures, and nothing done twice."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from builders.aws import stacks
from builders.rollout.model import DesiredState, Target, Wave
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.state.journal import Command

from .conftest import Administrator
from .small_phase import LAYERS, SmallPhase, body, layer_set


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    return SmallPhase(administrator, members)


@pytest.fixture
def desired(small: SmallPhase) -> DesiredState:
    return small.desired()


def newer(small: SmallPhase, version: str = "2", **more: Any) -> DesiredState:
    return small.desired(*(layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS), **more)


def everywhere(small: SmallPhase, version: str) -> dict[tuple[str, Target], str]:
    return {(layer, target): version for layer in LAYERS for target in small.targets}


def test_every_layer_comes_to_every_target_in_the_order_of_the_graph(small: SmallPhase, desired: DesiredState) -> None:
    report = small.run(desired)
    assert report.failures == []
    assert report.succeeded == {"network": 6, "database": 6, "monitoring": 6}
    assert small.versions() == everywhere(small, "1")


def test_the_sessions_of_a_run_in_the_accounts_have_its_name(small: SmallPhase) -> None:
    small.run(small.desired(layer_set("network", small.targets[:1])))
    run = small.store.journal.run()
    assert run is not None
    found = small.client.reading(small.targets[0]).ask("sts", "GetCallerIdentity")["Arn"]
    assert found.endswith(f"/stackferry-apply-{run.id}")


def test_a_second_apply_finds_nothing_to_do_and_makes_no_operation(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    before = small.operations()
    assert small.plan(desired).nothing_to_do
    assert small.run(desired).operations == 0
    assert small.operations() == before


def test_a_second_plan_asks_for_no_instance_by_itself(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    small.connect()
    small.plan(desired)
    assert small.client.calls.counts["cloudformation:DescribeStackInstance"] == 0


def test_an_update_goes_to_the_canary_first_and_then_to_the_rest(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    first, *others = small.accounts
    waves = (Wave("canary", (first,)), Wave("rest", tuple(others)))
    assert small.run(newer(small, waves=waves)).good
    assert small.versions() == everywhere(small, "2")
    assert small.operations()["network"] == ["CREATE", "UPDATE", "UPDATE"]


def test_a_canary_that_fails_keeps_the_release_from_everybody_else(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    first, *others = small.accounts
    small.shut_out(first)
    report = small.run(newer(small, waves=(Wave("canary", (first,)), Wave("rest", tuple(others)))))
    assert "wave canary" in report.stopped
    assert {version for (_, target), version in small.versions().items() if target.account != first} == {"1"}
    (reason,) = report.causes()
    assert f"Account {first} should have" in reason
    behind = {(each.layer, each.target) for each in report.failures if each.reason == "wave rest was not begun"}
    assert behind == {(layer, target) for layer in LAYERS for target in small.targets if target.account != first}
    assert sum(report.succeeded.values()) + len(report.failures) == len(LAYERS) * len(small.targets), "none is left out"


def test_a_target_that_fails_is_skipped_by_the_layers_behind_and_no_other_is(small: SmallPhase) -> None:
    broken = small.accounts[1]
    small.shut_out(broken)
    report = small.run(small.desired(failure_tolerance="1"))
    assert {(each.layer, each.target.account) for each in report.failures} == {(layer, broken) for layer in LAYERS}
    assert {each.layer for each in report.failed} == {"network"}
    assert report.succeeded == {"network": 4, "database": 4, "monitoring": 4}
    assert report.stopped == ""
    assert not report.good


def test_what_failed_is_done_by_the_next_apply_and_nothing_else(small: SmallPhase) -> None:
    broken = small.accounts[1]
    small.shut_out(broken)
    desired = small.desired(failure_tolerance="1")
    small.run(desired)
    small.let_in(broken)
    plan = small.plan(desired)
    assert {
        target.account for group in plan.groups if group.kind is not ChangeKind.NOTHING for target in group.targets
    } == {broken}
    assert small.run(desired).good
    assert small.versions() == everywhere(small, "1")


def test_overrides_reach_their_targets_together_with_a_new_template(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    own = {target: {"DelaySeconds": "7"} if target.account == small.accounts[0] else {} for target in small.targets}
    update = small.desired(
        layer_set("network", own, body("network", version="2")),
        *(layer_set(layer, small.targets) for layer in ("database", "monitoring")),
    )
    assert small.run(update).good
    found = {
        target: stacks.deployed(small.client.reading(target), instance.stack_id)
        for target, instance in small.current().sets["network"].instances.items()
    }
    delays = {target: stack.parameters["DelaySeconds"] for target, stack in found.items() if stack}
    assert delays == {target: values.get("DelaySeconds", "0") for target, values in own.items()}
    assert small.plan(update).nothing_to_do


def test_an_override_that_is_taken_back_is_reset(small: SmallPhase) -> None:
    own = {target: {"DelaySeconds": "7"} for target in small.targets}
    small.run(small.desired(layer_set("network", own)))
    assert small.run(small.desired(layer_set("network", small.targets))).good
    first = small.targets[0]
    stack_id = small.current().sets["network"].instances[first].stack_id
    stack = stacks.deployed(small.client.reading(first), stack_id)
    assert stack is not None
    assert stack.parameters["DelaySeconds"] == "0"


def test_an_account_that_left_the_phase_is_emptied_in_reverse(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    staying = [target for target in small.targets if target.account != small.accounts[2]]
    smaller = small.desired(
        *(layer_set(layer, staying) for layer in LAYERS), waves=(Wave("all", tuple(small.accounts[:2])),)
    )
    assert small.run(smaller).good
    assert small.versions() == {(layer, target): "1" for layer in LAYERS for target in staying}


def test_a_phase_that_is_removed_leaves_no_stack_and_no_set(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    nothing = dataclasses.replace(desired, sets={})
    assert small.run(nothing, Command.REMOVE).good
    assert small.versions() == {}
    assert small.client.sets.names() == []


def test_an_operation_of_somebody_else_is_named_and_waited_for(small: SmallPhase, desired: DesiredState) -> None:
    small.run(desired)
    small.administrator.api("cloudformation").detect_stack_set_drift(
        StackSetName="stackferry-network-dev", OperationId="somebody-elses"
    )
    report = small.run(newer(small))
    assert report.good
