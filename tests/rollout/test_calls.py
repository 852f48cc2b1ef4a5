"""The operations that lead from one state of a stack set to another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection

from hypothesis import given, strategies as st

from builders.rollout.model import DesiredState, Instance, StackSet, Status, Target
from builders.rollout.plan.calls import Action, Call, calls_for, rectangles, state_after
from builders.rollout.plan.changes import ChangeKind, change_kinds

from .states import ACCOUNTS, LAYER, REGIONS, TARGETS, desired_set, desired_sets, phase, stack_sets, template

ONE, TWO = TARGETS[0], TARGETS[2]


def current(target: Target, **overrides: str) -> Instance:
    return Instance(target, Status.CURRENT, "SUCCEEDED", overrides=overrides)


def as_desired(desired: DesiredState) -> StackSet:
    state: StackSet | None = None
    for call in calls_for(desired, LAYER, None, desired.targets):
        state = state_after(desired, state, call)
    assert state is not None
    return state


def run(desired: DesiredState, state: StackSet | None, found: Collection[Call]) -> StackSet | None:
    for call in found:
        state = state_after(desired, state, call)
    return state


def kinds(desired: DesiredState, state: StackSet | None) -> set[ChangeKind]:
    """The changes that are left to do anywhere."""
    present = state.instances if state else {}
    left = change_kinds(desired, LAYER, state, {*desired.targets, *present})
    return set(left.values()) - {ChangeKind.NOTHING}


@given(desired_sets(), stack_sets())
def test_the_calls_of_all_targets_lead_to_the_desired_state(desired_spec, state) -> None:  # type: ignore[no-untyped-def]
    desired = phase(desired_spec)
    there = state.instances if state else {}
    reached = run(desired, state, calls_for(desired, LAYER, state, {*desired.targets, *there}))
    assert kinds(desired, reached) <= {ChangeKind.INOPERABLE}
    again = calls_for(desired, LAYER, reached, {*desired.targets, *(reached.instances if reached else {})})
    assert again == []


@given(desired_sets(), stack_sets(), st.sets(st.sampled_from(TARGETS)))
def test_a_wave_touches_its_own_targets_and_at_most_one_anchor(desired_spec, state, wave) -> None:  # type: ignore[no-untyped-def]
    desired = phase(desired_spec)
    touched = set().union(*(call.targets for call in calls_for(desired, LAYER, state, wave, TARGETS)))
    assert len(touched - wave) <= 1


@given(desired_sets(), stack_sets(), st.permutations(ACCOUNTS))
def test_waves_lead_to_the_same_end_as_one_stroke(desired_spec, state, accounts) -> None:  # type: ignore[no-untyped-def]
    desired = phase(desired_spec)
    reached = state
    for account in accounts:
        wave = {target for target in TARGETS if target.account == account}
        reached = run(desired, reached, calls_for(desired, LAYER, reached, wave, TARGETS))
    assert kinds(desired, reached) <= {ChangeKind.INOPERABLE}


@given(desired_sets(), stack_sets())
def test_no_operation_names_accounts_without_regions_or_none_while_there_are_instances(desired_spec, state) -> None:  # type: ignore[no-untyped-def]
    desired = phase(desired_spec)
    for call in calls_for(desired, LAYER, state, TARGETS, TARGETS):
        assert bool(call.accounts) == bool(call.regions)
        if call.action is Action.UPDATE_SET and not call.accounts:
            assert all(each.status is Status.INOPERABLE for each in state.instances.values())


@given(st.sets(st.sampled_from(TARGETS)))
def test_rectangles_cover_each_target_once(targets: set[Target]) -> None:
    covered = [
        Target(account, region)
        for accounts, regions in rectangles(targets, REGIONS)
        for account in accounts
        for region in regions
    ]
    assert sorted(covered) == sorted(targets)


def test_a_full_grid_is_one_rectangle_in_the_order_of_the_regions() -> None:
    assert rectangles(TARGETS, ["us-east-1", "eu-west-1"]) == [(ACCOUNTS, ("us-east-1", "eu-west-1"))]


def test_nothing_to_do_makes_no_operation() -> None:
    desired = phase(desired_set({ONE: {}, TWO: {"Size": "large"}}, Size="small"))
    assert calls_for(desired, LAYER, as_desired(desired), desired.targets) == []


def test_a_template_in_another_layout_is_the_same_template() -> None:
    desired = phase(desired_set({ONE: {}}))
    state = as_desired(desired)
    again = json.dumps(json.loads(state.template), indent=4, sort_keys=True)
    assert again != state.template
    assert calls_for(desired, LAYER, dataclasses.replace(state, template=again), desired.targets) == []


def test_equal_overrides_are_one_operation() -> None:
    desired = phase(desired_set({target: {"Size": "large"} for target in TARGETS}))
    made = [call for call in calls_for(desired, LAYER, None, TARGETS) if call.action is Action.CREATE]
    assert [(call.accounts, call.regions, call.overrides) for call in made] == [(ACCOUNTS, REGIONS, {"Size": "large"})]


def test_regions_that_differ_go_in_their_order() -> None:
    own = {target: {"Zone": target.region} for target in TARGETS}
    made = [call.regions for call in calls_for(phase(desired_set(own)), LAYER, None, TARGETS)[1:]]
    assert made == [(region,) for region in REGIONS]


def test_a_new_template_goes_to_those_whose_overrides_stay_and_the_others_get_theirs_behind_it() -> None:
    before = phase(desired_set({ONE: {}, TWO: {"Size": "large"}}))
    desired = phase(desired_set({ONE: {}, TWO: {"Size": "huge"}}, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_desired(before), desired.targets)
    assert [(call.action, call.targets, call.overrides) for call in found] == [
        (Action.UPDATE_SET, frozenset({ONE}), None),
        (Action.UPDATE, frozenset({TWO}), {"Size": "huge"}),
    ]


def test_targets_whose_own_values_stay_are_one_operation_however_different_they_are() -> None:
    own = {target: {"Size": str(number)} for number, target in enumerate(TARGETS)}
    desired = phase(desired_set(own, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_desired(phase(desired_set(own))), desired.targets)
    assert [(call.action, call.targets) for call in found] == [(Action.UPDATE_SET, frozenset(TARGETS))]
    canary, *others = found[0].accounts
    state = as_desired(phase(desired_set(own)))
    first = calls_for(desired, LAYER, state, {target for target in TARGETS if target.account == canary})
    second = calls_for(
        desired, LAYER, run(desired, state, first), {target for target in TARGETS if target.account != canary}
    )
    assert [(call.action, call.accounts, call.overrides) for call in second] == [(Action.UPDATE, tuple(others), None)]


def test_an_override_that_goes_away_names_the_suffix_since_an_empty_list_resets_nothing() -> None:
    before = phase(desired_set({ONE: {"Size": "large"}}))
    desired = phase(desired_set({ONE: {}}))
    (call,) = calls_for(desired, LAYER, as_desired(before), desired.targets)
    assert call.overrides == {"EnvironmentSuffix": "dev"}


def test_a_canary_that_is_new_takes_the_template_along_with_one_that_is_there() -> None:
    before = phase(desired_set({TWO: {}}))
    desired = phase(desired_set({ONE: {}, TWO: {}}, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_desired(before), {ONE}, anchors=[TWO])
    assert [(call.action, call.targets) for call in found] == [
        (Action.UPDATE_SET, frozenset({TWO})),
        (Action.CREATE, frozenset({ONE})),
    ]


def test_overrides_that_nobody_knows_are_given_again() -> None:
    desired = phase(desired_set({ONE: {"Size": "large"}}))
    state = as_desired(desired)
    unknown = dataclasses.replace(state, instances={ONE: dataclasses.replace(state.instances[ONE], overrides=None)})
    (call,) = calls_for(desired, LAYER, unknown, desired.targets)
    assert (call.action, call.overrides) == (Action.UPDATE, {"Size": "large"})


def test_an_inoperable_instance_is_detached_and_its_stack_stays() -> None:
    state = as_desired(phase(desired_set({ONE: {}, TWO: {}})))
    broken = dataclasses.replace(
        state,
        instances={ONE: dataclasses.replace(state.instances[ONE], status=Status.INOPERABLE), TWO: state.instances[TWO]},
    )
    found = calls_for(phase(), LAYER, broken, {ONE, TWO})
    assert [(call.action, call.targets, call.retain) for call in found] == [
        (Action.DELETE, {TWO}, False),
        (Action.DELETE, {ONE}, True),
        (Action.DELETE_SET, frozenset(), False),
    ]
