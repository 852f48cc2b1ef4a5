"""The operations that lead from one state of a stack set to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from hypothesis import given, strategies as st

from builders.rollout.diff.instances import ChangeKind, change_kind, differs
from builders.rollout.model import DesiredState, Instance, StackSet, Status, Target
from builders.rollout.plan.calls import Action, Call, calls_for, rectangles, state_after

from .worlds import ACCOUNTS, LAYER, PLACES, REGIONS, desired_set, desired_sets, phase, stack_sets, template

ONE, TWO = PLACES[0], PLACES[2]


def current(target: Target, **overrides: str) -> Instance:
    return Instance(target, Status.CURRENT, "SUCCEEDED", overrides=overrides)


def as_it_shall_be(desired: DesiredState) -> StackSet:
    state: StackSet | None = None
    for step in calls_for(desired, LAYER, None, desired.targets):
        state = state_after(desired, state, step)
    assert state is not None
    return state


def run(desired: DesiredState, state: StackSet | None, found: Collection[Call]) -> StackSet | None:
    for step in found:
        state = state_after(desired, state, step)
    return state


def kinds(desired: DesiredState, state: StackSet | None) -> set[ChangeKind]:
    """What is left to do anywhere."""
    spec = desired.sets.get(LAYER)
    changed = spec is not None and state is not None and differs(desired, spec, state)
    present = state.instances if state else {}
    return {change_kind(spec, state, target, changed) for target in {*desired.targets, *present}} - {ChangeKind.NOTHING}


@given(desired_sets(), stack_sets())
def test_the_steps_of_all_places_lead_to_what_shall_be(wanted_set, state) -> None:  # type: ignore[no-untyped-def]
    desired = phase(wanted_set)
    there = state.instances if state else {}
    reached = run(desired, state, calls_for(desired, LAYER, state, {*desired.targets, *there}))
    assert kinds(desired, reached) <= {ChangeKind.INOPERABLE}
    again = calls_for(desired, LAYER, reached, {*desired.targets, *(reached.instances if reached else {})})
    assert again == []


@given(desired_sets(), stack_sets(), st.sets(st.sampled_from(PLACES)))
def test_a_wave_touches_its_own_places_and_at_most_one_anchor(wanted_set, state, wave) -> None:  # type: ignore[no-untyped-def]
    desired = phase(wanted_set)
    touched = set().union(*(step.targets for step in calls_for(desired, LAYER, state, wave, PLACES)))
    assert len(touched - wave) <= 1


@given(desired_sets(), stack_sets(), st.permutations(ACCOUNTS))
def test_waves_lead_to_the_same_end_as_one_stroke(wanted_set, state, accounts) -> None:  # type: ignore[no-untyped-def]
    desired = phase(wanted_set)
    reached = state
    for account in accounts:
        wave = {target for target in PLACES if target.account == account}
        reached = run(desired, reached, calls_for(desired, LAYER, reached, wave, PLACES))
    assert kinds(desired, reached) <= {ChangeKind.INOPERABLE}


@given(desired_sets(), stack_sets())
def test_no_operation_names_accounts_without_regions_or_nobody_while_somebody_is_there(wanted_set, state) -> None:  # type: ignore[no-untyped-def]
    desired = phase(wanted_set)
    for step in calls_for(desired, LAYER, state, PLACES, PLACES):
        assert bool(step.accounts) == bool(step.regions)
        if step.action is Action.UPDATE_SET and not step.accounts:
            assert all(each.status is Status.INOPERABLE for each in state.instances.values())


@given(st.sets(st.sampled_from(PLACES)))
def test_rectangles_cover_each_place_once(targets: set[Target]) -> None:
    covered = [
        Target(account, region)
        for accounts, regions in rectangles(targets, REGIONS)
        for account in accounts
        for region in regions
    ]
    assert sorted(covered) == sorted(targets)


def test_a_full_grid_is_one_rectangle_in_the_order_of_the_regions() -> None:
    assert rectangles(PLACES, ["us-east-1", "eu-west-1"]) == [(ACCOUNTS, ("us-east-1", "eu-west-1"))]


def test_nothing_to_do_makes_no_operation() -> None:
    desired = phase(desired_set({ONE: {}, TWO: {"Size": "large"}}, Size="small"))
    assert calls_for(desired, LAYER, as_it_shall_be(desired), desired.targets) == []


def test_equal_overrides_are_one_operation() -> None:
    desired = phase(desired_set({target: {"Size": "large"} for target in PLACES}))
    made = [step for step in calls_for(desired, LAYER, None, PLACES) if step.action is Action.CREATE]
    assert [(step.accounts, step.regions, step.overrides) for step in made] == [(ACCOUNTS, REGIONS, {"Size": "large"})]


def test_regions_that_differ_go_in_their_order() -> None:
    own = {target: {"Zone": target.region} for target in PLACES}
    made = [step.regions for step in calls_for(phase(desired_set(own)), LAYER, None, PLACES)[1:]]
    assert made == [(region,) for region in REGIONS]


def test_a_new_template_goes_to_those_whose_overrides_stay_and_the_others_get_theirs_behind_it() -> None:
    before = phase(desired_set({ONE: {}, TWO: {"Size": "large"}}))
    desired = phase(desired_set({ONE: {}, TWO: {"Size": "huge"}}, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_it_shall_be(before), desired.targets)
    assert [(step.action, step.targets, step.overrides) for step in found] == [
        (Action.UPDATE_SET, frozenset({ONE}), None),
        (Action.UPDATE, frozenset({TWO}), {"Size": "huge"}),
    ]


def test_places_whose_own_values_stay_are_one_operation_however_different_they_are() -> None:
    own = {target: {"Size": str(number)} for number, target in enumerate(PLACES)}
    desired = phase(desired_set(own, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_it_shall_be(phase(desired_set(own))), desired.targets)
    assert [(step.action, step.targets) for step in found] == [(Action.UPDATE_SET, frozenset(PLACES))]
    canary, *others = found[0].accounts
    state = as_it_shall_be(phase(desired_set(own)))
    first = calls_for(desired, LAYER, state, {target for target in PLACES if target.account == canary})
    second = calls_for(
        desired, LAYER, run(desired, state, first), {target for target in PLACES if target.account != canary}
    )
    assert [(step.action, step.accounts, step.overrides) for step in second] == [(Action.UPDATE, tuple(others), {})]


def test_an_override_that_goes_away_names_the_suffix_since_an_empty_list_resets_nothing() -> None:
    before = phase(desired_set({ONE: {"Size": "large"}}))
    desired = phase(desired_set({ONE: {}}))
    (step,) = calls_for(desired, LAYER, as_it_shall_be(before), desired.targets)
    assert step.overrides == {"EnvironmentSuffix": "dev"}


def test_a_canary_that_is_new_takes_the_template_along_with_one_that_is_there() -> None:
    before = phase(desired_set({TWO: {}}))
    desired = phase(desired_set({ONE: {}, TWO: {}}, body=template("Size", "Zone", Description="newer")))
    found = calls_for(desired, LAYER, as_it_shall_be(before), {ONE}, anchors=[TWO])
    assert [(step.action, step.targets) for step in found] == [
        (Action.UPDATE_SET, frozenset({TWO})),
        (Action.CREATE, frozenset({ONE})),
    ]


def test_overrides_that_nobody_knows_are_given_again() -> None:
    desired = phase(desired_set({ONE: {"Size": "large"}}))
    state = as_it_shall_be(desired)
    unknown = dataclasses.replace(state, instances={ONE: dataclasses.replace(state.instances[ONE], overrides=None)})
    (step,) = calls_for(desired, LAYER, unknown, desired.targets)
    assert (step.action, step.overrides) == (Action.UPDATE, {"Size": "large"})


def test_an_inoperable_instance_is_let_go_and_its_stack_stays() -> None:
    state = as_it_shall_be(phase(desired_set({ONE: {}, TWO: {}})))
    broken = dataclasses.replace(
        state,
        instances={ONE: dataclasses.replace(state.instances[ONE], status=Status.INOPERABLE), TWO: state.instances[TWO]},
    )
    found = calls_for(phase(), LAYER, broken, {ONE, TWO})
    assert [(step.action, step.targets, step.retain) for step in found] == [
        (Action.DELETE, {TWO}, False),
        (Action.DELETE, {ONE}, True),
        (Action.DELETE_SET, frozenset(), False),
    ]
