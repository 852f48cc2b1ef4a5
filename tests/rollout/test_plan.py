"""A plan: what becomes of every instance, by which calls, and what stands in the way."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, strategies as st

from builders.errors import RolloutError
from builders.rollout.model import (
    CurrentState,
    DeployedStack,
    DesiredState,
    PlainStackSpec,
    Preferences,
    StackSet,
    StackSetSpec,
    Status,
    Target,
    Wave,
)
from builders.rollout.plan.calls import calls_for, state_after
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, make_plan
from builders.rollout.plan.schedule import LEAVING, make_schedule, stacks_to_read
from builders.stack_diff.effects import Effect
from builders.stack_diff.hazards import HazardKind

from .states import ACCOUNTS, TARGETS, calls_of, desired_set, phase, stack_sets, template, values

ONE, TWO = TARGETS[0], TARGETS[2]
NEEDS = {"database": frozenset({"network"})}


def queue(name: Any = "payments", **properties: Any) -> str:
    """A template with a queue of a given name, which a parameter changes."""
    body = {"QueueName": name, "DelaySeconds": {"Ref": "Size"}, **properties}
    return template("Size", Resources={"Queue": {"Type": "AWS::SQS::Queue", "Properties": body}})


def deployed_state(*sets: StackSetSpec) -> CurrentState:
    """A state in which layers are as desired, and the stacks of all targets were read."""
    desired = phase(*sets)
    found: dict[str, StackSet] = {}
    for each in sets:
        state = None
        for call in calls_for(desired, each.layer, None, desired.targets):
            state = state_after(desired, state, call)
        assert state is not None
        instances = {target: dataclasses.replace(i, stack_id=f"arn/{target}") for target, i in state.instances.items()}
        found[each.layer] = dataclasses.replace(state, instances=instances)
    deployed = {
        (each.layer, target): DeployedStack(each.template, each.values(target), "CREATE_COMPLETE")
        for each in sets
        for target in each.overrides
    }
    return CurrentState(found, deployed)


def groups(plan: Plan) -> dict[tuple[str, str], dict[ChangeKind, tuple[Target, ...]]]:
    found: dict[tuple[str, str], dict[ChangeKind, tuple[Target, ...]]] = {}
    for group in plan.groups:
        found.setdefault((group.wave, group.layer), {})[group.kind] = group.targets
    return found


def carry_out(desired: DesiredState, current: CurrentState) -> CurrentState:
    """Every call of the schedule, as if each succeeded."""
    found: dict[str, StackSet | None] = dict(current.sets)
    for call in calls_of(make_schedule(desired, current)):
        found[call.layer] = state_after(desired, found.get(call.layer), call)
    return CurrentState({layer: state for layer, state in found.items() if state is not None})


@st.composite
def phases(draw: st.DrawFn) -> DesiredState:
    """Two layers, one behind the other, whose accounts go in waves."""
    sets = [
        desired_set({target: draw(values) for target in draw(st.sets(st.sampled_from(TARGETS)))}, layer=layer)
        for layer in draw(st.sets(st.sampled_from(["network", "database"])))
    ]
    accounts = sorted({target.account for each in sets for target in each.overrides})
    cut = draw(st.integers(0, len(accounts)))
    parted = [Wave("canary", tuple(accounts[:cut])), Wave("rest", tuple(accounts[cut:]))]
    return phase(*sets, needs=NEEDS, waves=tuple(wave for wave in parted if wave.accounts))


@given(phases(), stack_sets(), stack_sets())
def test_carrying_a_plan_out_leaves_nothing_to_do(
    desired: DesiredState, network: StackSet | None, database: StackSet | None
) -> None:
    sets = {"network": network, "database": database and dataclasses.replace(database, layer="database")}
    current = CurrentState({layer: state for layer, state in sets.items() if state is not None})
    reached = carry_out(desired, current)
    again = make_plan(desired, reached)
    left = {group.kind for group in again.groups}
    assert left <= {ChangeKind.NOTHING, ChangeKind.INOPERABLE}
    assert again.operations == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"Fn::FindInMap": ["Names", {"Ref": "AWS::AccountId"}, "Queue"]}, "one"),
        ("queue-" + ACCOUNTS[0], {"Fn::Sub": "queue-${AWS::AccountId}"}),
        ({"Fn::If": ["IsFirst", "one", "two"]}, "one"),
    ],
)
def test_what_a_template_makes_by_account_is_compared_in_each_account(before: Any, after: Any) -> None:
    """The first account's queue keeps its name; the second one's is replaced."""
    sections = {
        "Mappings": {"Names": {ACCOUNTS[0]: {"Queue": "one"}, ACCOUNTS[1]: {"Queue": "two"}}},
        "Conditions": {"IsFirst": {"Fn::Equals": [{"Ref": "AWS::AccountId"}, ACCOUNTS[0]]}},
    }

    def body(name: Any, **more: Any) -> str:
        queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
        return template("Size", **more, Resources={"Queue": queue})

    own: dict[Target, dict[str, str]] = {ONE: {}, TWO: {}}
    current = deployed_state(desired_set(own, body=body(before, **sections)))
    plan = make_plan(phase(desired_set(own, body=body(after))), current)
    assert {group.targets: [each.effect for each in group.changes or ()] for group in plan.groups} == {
        (ONE,): [],
        (TWO,): [Effect.REPLACE],
    }


@given(phases(), stack_sets())
def test_every_present_or_desired_instance_is_in_one_group(desired: DesiredState, network: StackSet | None) -> None:
    current = CurrentState({"network": network} if network else {})
    plan = make_plan(desired, current)
    shown = sorted((group.layer, target) for group in plan.groups for target in group.targets)
    meant = {(layer, target) for layer, each in desired.sets.items() for target in each.overrides}
    meant |= {("network", target) for target in (network.instances if network else {})}
    assert shown == sorted(meant)


def test_nothing_to_do_makes_no_call() -> None:
    desired = desired_set({ONE: {}, TWO: {"Size": "9"}}, body=queue(), Size="5")
    plan = make_plan(phase(desired), deployed_state(desired))
    assert plan.nothing_to_do
    assert plan.operations == ()


def test_instances_that_change_alike_are_one_group() -> None:
    before = desired_set({ONE: {}, TWO: {}}, body=queue(), Size="5")
    plan = make_plan(phase(desired_set({ONE: {}, TWO: {}}, body=queue(), Size="6")), deployed_state(before))
    (group,) = plan.groups
    (change,) = group.changes or ()
    assert (group.targets, change.effect, change.causes) == ((ONE, TWO), Effect.MODIFY, ("DelaySeconds",))


def test_instances_whose_given_names_alone_differ_change_alike() -> None:
    regions, body = tuple(sorted(TARGETS[:2])), queue({"Fn::Sub": "payments-${AWS::Region}"})
    before, desired = (desired_set({key: {} for key in regions}, body=body, Size=size) for size in ("5", "6"))
    plan = make_plan(phase(desired), deployed_state(before))
    assert [(group.targets, len(group.changes or ())) for group in plan.groups] == [(regions, 1)]


def test_an_instance_is_compared_by_its_own_stack_and_not_by_the_set() -> None:
    before = desired_set({ONE: {}, TWO: {}}, body=queue(), Size="5")
    current = deployed_state(before)
    by_hand = {
        **current.deployed,
        ("network", TWO): DeployedStack(queue("by-hand"), before.values(TWO), "UPDATE_COMPLETE"),
    }
    desired = phase(desired_set({ONE: {}, TWO: {}}, body=queue(), Size="6"))
    plan = make_plan(desired, dataclasses.replace(current, deployed=by_hand))
    effects = {group.targets: {change.effect for change in group.changes or ()} for group in plan.groups}
    assert effects == {(ONE,): {Effect.MODIFY}, (TWO,): {Effect.REPLACE}}


def test_the_stacks_of_those_that_change_are_looked_at_and_no_others() -> None:
    before = desired_set({ONE: {}, TWO: {}}, body=queue(), Size="5")
    desired = phase(desired_set({ONE: {}, TWO: {"Size": "6"}}, body=queue(), Size="5"))
    assert list(stacks_to_read(desired, deployed_state(before))) == [("network", TWO, f"arn/{TWO}")]


def test_a_database_that_is_removed_blocks_until_it_is_acknowledged_by_name() -> None:
    database = template(Resources={"Database": {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Snapshot"}})
    current = deployed_state(desired_set({ONE: {}}, layer="database", body=database))
    plan = make_plan(phase(), current)
    assert [(each.name, each.targets) for each in plan.blocks] == [("database/Database", (ONE,))]
    assert make_plan(phase(), current, acknowledged={"database/Database"}).blocks == ()


def test_an_importer_that_goes_first_takes_the_export_out_of_the_way() -> None:
    name = {"Fn::Sub": "network-Vpc-${EnvironmentSuffix}"}
    exporting = template(Outputs={"Vpc": {"Value": "v", "Export": {"Name": name}}})
    group = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::ImportValue": name}}}
    importing = template(Resources={"Queue": group})
    current = deployed_state(
        desired_set({ONE: {}}, body=exporting), desired_set({ONE: {}}, layer="database", body=importing)
    )
    without = desired_set({ONE: {}}, body=template())
    staying = phase(without, desired_set({ONE: {}}, layer="database", body=importing), needs=NEEDS)
    going = phase(without, desired_set({ONE: {}}, layer="database", body=template()), needs=NEEDS)
    assert {each.hazard.kind for each in make_plan(staying, current).blocks} == {HazardKind.EXPORT_IN_USE}
    plan = make_plan(going, current)
    assert (plan.layers, plan.blocks) == (("database", "network"), ())


def test_a_stack_that_cannot_be_read_blocks_since_nobody_knows_what_happens_to_it() -> None:
    current = deployed_state(desired_set({ONE: {}, TWO: {}}, body=queue(), Size="5"))
    deployed = {key: stack for key, stack in current.deployed.items() if key[1] != TWO}
    shut = dataclasses.replace(current, deployed=deployed, unread={("network", TWO): "AccessDenied"})
    desired = phase(desired_set({ONE: {}, TWO: {}}, body=queue(), Size="6"))
    assert [(each.name, each.targets) for each in make_plan(desired, shut).blocks] == [("network/unread", (TWO,))]
    assert make_plan(desired, shut, acknowledged={"network/unread"}).blocks == ()


def test_two_layers_that_give_one_name_are_said_before_anything_is_made() -> None:
    desired = phase(desired_set({ONE: {}}, body=queue()), desired_set({ONE: {}}, layer="database", body=queue()))
    assert {each.hazard.kind for each in make_plan(desired, CurrentState({})).blocks} == {HazardKind.NAME_CONFLICT}


def test_a_plain_stack_is_planned_beside_the_sets() -> None:
    routes = PlainStackSpec("phase_routes", "9" * 12, template("Size"), {ONE: {"Size": "a"}, TWO: {"Size": "a"}})
    desired = dataclasses.replace(phase(desired_set({ONE: {}, TWO: {}})), plain={"phase_routes": routes})
    there = {("phase_routes", ONE): DeployedStack(template("Size"), {"Size": "b"}, "CREATE_COMPLETE")}
    found = groups(make_plan(desired, CurrentState({}, plain=there)))
    assert found["rest", "phase_routes"] == {ChangeKind.UPDATE: (ONE,), ChangeKind.CREATE: (TWO,)}


def test_an_update_of_a_plain_stack_shows_the_changed_resources_with_their_values() -> None:
    queues = queue(None)
    routes = PlainStackSpec("phase_routes", "9" * 12, queues, {ONE: {"Size": "10"}})
    desired = dataclasses.replace(phase(desired_set({ONE: {}})), plain={"phase_routes": routes})
    there = {("phase_routes", ONE): DeployedStack(queues, {"Size": "5"}, "CREATE_COMPLETE")}
    (group,) = (each for each in make_plan(desired, CurrentState({}, plain=there)).groups if each.layer != "network")
    assert [(each.logical_id, each.effect) for each in group.changes or ()] == [("Queue", Effect.MODIFY)]
    assert [(each.path, each.before, each.after) for each in group.values] == [("DelaySeconds", "5", "10")]


def test_a_plain_stack_that_goes_to_another_table_is_a_block_of_the_plan() -> None:
    properties = {"TransitGatewayAttachmentId": {"Ref": "Attachment"}, "TransitGatewayRouteTableId": {"Ref": "Table"}}
    association = {"Type": "AWS::EC2::TransitGatewayRouteTableAssociation", "Properties": properties}
    body = template("Table", "Attachment", Resources={"Association": association})
    routes = PlainStackSpec("phase_routes", "9" * 12, body, {ONE: {"Table": "new"}, TWO: {"Table": "old"}})
    desired = dataclasses.replace(phase(desired_set({ONE: {}, TWO: {}})), plain={"phase_routes": routes})
    given = {"Table": "old", "Attachment": "tgw-attach-1"}
    there = {("phase_routes", each): DeployedStack(body, given, "CREATE_COMPLETE") for each in (ONE, TWO)}
    plan = make_plan(desired, CurrentState({}, plain=there))
    assert {each.hazard.kind: each.targets for each in plan.hazards} == {
        HazardKind.ALREADY_EXISTS: (ONE,),
        HazardKind.ROUTES: (ONE,),
    }


def test_accounts_that_left_the_phase_go_last() -> None:
    current = deployed_state(desired_set({ONE: {}, TWO: {}}))
    plan = make_plan(phase(desired_set({ONE: {}})), current)
    assert groups(plan)[LEAVING, "network"] == {ChangeKind.DELETE: (TWO,)}


def test_an_inoperable_instance_is_noted_with_the_way_round() -> None:
    current = deployed_state(desired_set({ONE: {}}))
    instances = {ONE: dataclasses.replace(current.sets["network"].instances[ONE], status=Status.INOPERABLE)}
    broken = CurrentState({"network": dataclasses.replace(current.sets["network"], instances=instances)})
    (note,) = make_plan(phase(desired_set({ONE: {}}, Size="b")), broken).notes
    assert "INOPERABLE at 111111111111/us-east-1" in note
    assert "`rollout-stacksets remove --account 111111111111`" in note


def test_strict_concurrency_with_tolerance_0_is_said_to_be_one_at_a_time() -> None:
    desired = desired_set({target: {} for target in TARGETS})
    strict = phase(desired, preferences=Preferences(max_concurrent="4", failure_tolerance="0"))
    plan = make_plan(strict, CurrentState({}))
    assert any("one account at a time" in note for note in plan.notes)
    (call,) = plan.operations
    assert (call.accounts, call.at_once) == (len(ACCOUNTS), 1)


def test_layers_that_would_each_have_to_go_first_are_refused() -> None:
    def exporting(name: str) -> str:
        return template(Outputs={"Value": {"Value": "v", "Export": {"Name": name}}})

    def importing(name: str) -> str:
        return template(
            Resources={"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"X": {"Fn::ImportValue": name}}}}
        )

    current = deployed_state(
        desired_set({ONE: {}}, body=exporting("a")), desired_set({ONE: {}}, layer="database", body=importing("a"))
    )
    desired = phase(
        desired_set({ONE: {}}, body=exporting("b")),
        desired_set({ONE: {}}, layer="database", body=importing("b")),
        needs=NEEDS,
    )
    with pytest.raises(RolloutError, match="neither can go first"):
        make_plan(desired, current)
