"""Overrides are known while an operation of ours is the last one that succeeded, and never else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from hypothesis import given, settings, strategies as st

from builders.rollout.model import Instance, Status, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Command, Entry, EntryState, Run
from builders.rollout.state.serialization import from_json, to_json
from builders.rollout.state.store import OverrideCache, Store, StoredOverrides

from .conftest import Administrator, Rollout

EAST = "us-east-1"
ONE, OTHER = Target("111111111111", EAST), Target("222222222222", EAST)


def entry(action: Action, number: int, *targets: Target, overrides: Mapping[str, str] | None = None) -> Entry:
    accounts = tuple(target.account for target in targets or (ONE,))
    given = {} if action is Action.CREATE and overrides is None else overrides
    step = Call(action, "network", "stackferry-network-dev", accounts, (EAST,), given)
    return Entry(f"operation-{number}", step, EntryState.OVER)


def instance(
    number: int, target: Target = ONE, status: Status = Status.CURRENT, detailed: str = "SUCCEEDED"
) -> Instance:
    return Instance(target, status, detailed, last_operation_id=f"operation-{number}")


def known(*entries: Entry) -> OverrideCache:
    found = OverrideCache()
    found.apply(entries)
    return found


def test_what_an_operation_of_ours_gave_is_known() -> None:
    found = known(entry(Action.CREATE, 1, ONE, OTHER, overrides={"Size": "2"}))
    assert found.overrides("network", instance(1)) == {"Size": "2"}
    assert found.overrides("network", instance(1, OTHER)) == {"Size": "2"}
    assert found.overrides("database", instance(1)) is None


def test_an_instance_made_without_a_list_overrides_nothing() -> None:
    assert known(entry(Action.CREATE, 1)).overrides("network", instance(1)) == {}


def test_an_instance_that_is_tried_again_keeps_its_own_values() -> None:
    """CreateStackInstances without a list leaves them (CloudFormation API reference)."""
    again = entry(Action.CREATE, 2)
    again = dataclasses.replace(again, call=dataclasses.replace(again.call, overrides=None))
    found = known(entry(Action.CREATE, 1, overrides={"Size": "2"}), again)
    assert found.overrides("network", instance(2)) == {"Size": "2"}


def test_an_update_of_the_set_leaves_those_behind_that_no_operation_has_touched_since() -> None:
    found = known(entry(Action.CREATE, 1, ONE, OTHER), entry(Action.UPDATE_SET, 2, ONE))
    assert [found.behind("network", each) for each in (ONE, OTHER)] == [False, True]
    assert not found.behind("database", OTHER)
    stored = OverrideCache(found.stored())
    assert stored.behind("network", OTHER), "the next command knows it, too"
    stored.apply([entry(Action.UPDATE, 3, OTHER)])
    assert not stored.behind("network", OTHER)


def test_behind_an_operation_of_others_nothing_is_known() -> None:
    assert known(entry(Action.CREATE, 1)).overrides("network", instance(99)) is None


def test_of_an_instance_where_its_last_operation_did_not_succeed_nothing_is_known() -> None:
    found = known(entry(Action.CREATE, 1))
    for detailed in ("PENDING", "RUNNING", "FAILED", "CANCELLED"):
        assert found.overrides("network", instance(1, status=Status.OUTDATED, detailed=detailed)) is None


def test_an_instance_that_waits_for_its_wave_keeps_what_is_known_of_it() -> None:
    found = known(entry(Action.CREATE, 1, overrides={"Size": "2"}))
    assert found.overrides("network", instance(1, status=Status.OUTDATED)) == {"Size": "2"}


def test_an_instance_that_an_update_passed_by_keeps_what_was_confirmed_before() -> None:
    found = known(entry(Action.CREATE, 1, ONE, OTHER, overrides={"Size": "2"}))
    update, waiting = entry(Action.UPDATE_SET, 2, ONE), instance(2, OTHER, Status.OUTDATED, "PENDING")
    found.apply([update])
    assert found.overrides("network", waiting) is None, "somebody else's operation may lie in between"
    assert found.overrides("network", instance(1, OTHER)) == {"Size": "2"}
    found.apply([update])
    assert found.overrides("network", waiting) == {"Size": "2"}
    assert found.overrides("network", instance(1, OTHER, Status.OUTDATED, "PENDING")) == {"Size": "2"}
    assert found.overrides("network", instance(3, OTHER, Status.OUTDATED, "PENDING")) is None


def test_an_update_of_the_set_leaves_the_overrides_of_its_targets() -> None:
    found = known(entry(Action.CREATE, 1, overrides={"Size": "2"}), entry(Action.UPDATE_SET, 2))
    assert found.overrides("network", instance(2)) == {"Size": "2"}


def test_an_update_of_the_set_behind_others_makes_nothing_known() -> None:
    assert known(entry(Action.UPDATE_SET, 2)).overrides("network", instance(2)) is None


def test_a_list_replaces_the_one_before() -> None:
    found = known(entry(Action.CREATE, 1, overrides={"Size": "2"}), entry(Action.UPDATE, 2, overrides={"Zones": "3"}))
    assert found.overrides("network", instance(2)) == {"Zones": "3"}


def test_where_an_operation_did_not_succeed_nothing_is_known_even_after_the_next() -> None:
    failed = dataclasses.replace(entry(Action.UPDATE, 2, overrides={"Size": "3"}), failures=(ONE,))
    found = known(entry(Action.CREATE, 1, overrides={"Size": "2"}), failed, entry(Action.UPDATE_SET, 3))
    assert found.overrides("network", instance(3)) is None


def test_an_operation_that_may_not_have_been_submitted_makes_nothing_known() -> None:
    submitting = dataclasses.replace(entry(Action.UPDATE, 2), state=EntryState.SUBMITTING)
    found = known(entry(Action.CREATE, 1), submitting)
    assert found.overrides("network", instance(1)) is None
    assert found.overrides("network", instance(2)) is None


def test_a_deleted_instance_is_forgotten() -> None:
    found = known(entry(Action.CREATE, 1), entry(Action.DELETE, 2))
    assert found.overrides("network", instance(1)) is None


def test_what_was_asked_is_known() -> None:
    found = OverrideCache()
    found.learn("network", instance(99), {"Size": "4"})
    assert found.overrides("network", instance(99)) == {"Size": "4"}


targets = st.sampled_from([ONE, OTHER, Target("333333333333", EAST)])
overrides = st.one_of(st.none(), st.dictionaries(st.sampled_from(["Size", "Zones"]), st.text(max_size=2)))
actions = st.sampled_from([Action.CREATE, Action.UPDATE, Action.UPDATE_SET, Action.DELETE])


@st.composite
def runs(draw: st.DrawFn) -> list[Entry]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        drawn = entry(draw(actions), number, *draw(st.sets(targets, min_size=1)), overrides=draw(overrides))
        failures = tuple(draw(st.sets(st.sampled_from(sorted(drawn.call.targets)))))
        found.append(dataclasses.replace(drawn, failures=failures, state=draw(st.sampled_from(EntryState))))
    return found


@settings(deadline=None)
@given(runs(), runs())
def test_folding_the_same_operations_again_changes_nothing(before: list[Entry], run: list[Entry]) -> None:
    renumbered = [dataclasses.replace(each, operation_id=f"later-{each.operation_id}") for each in run]
    found = known(*before, *renumbered)
    once = to_json(found.stored())
    found.apply(renumbered)
    assert to_json(found.stored()) == once


@settings(deadline=None)
@given(runs())
def test_what_is_known_survives_being_written(run: list[Entry]) -> None:
    body = to_json(known(*run).stored())
    again = OverrideCache(from_json(StoredOverrides, body, "known.json"))
    assert to_json(again.stored()) == body


def test_it_agrees_with_what_the_cloud_says_of_every_instance(rolled_out: Rollout, members: list[str]) -> None:
    found = known()
    creation = rolled_out.step(Action.CREATE, members)
    found.apply([Entry("operation-2", creation, EntryState.OVER)])
    for action, accounts, given_overrides in (
        (Action.UPDATE, members[:2], {"QueueName": "refunds"}),
        (Action.UPDATE_SET, members[:1], None),
        (Action.UPDATE, members[1:], {"QueueName": "chargebacks"}),
    ):
        step = rolled_out.step(action, accounts, overrides=given_overrides)
        found.apply([Entry(rolled_out.run(step).id, step, EntryState.OVER)])
    instances = rolled_out.client.sets.instances(rolled_out.spec.name)
    expected = {target: rolled_out.client.sets.overrides(rolled_out.spec.name, target) for target in instances}
    assert {target: found.overrides("network", each) for target, each in instances.items()} == expected


def test_the_store_knows_what_a_run_under_way_has_done(administrator: Administrator) -> None:
    store = Store(administrator.client().objects(EAST), administrator.bucket(), "dev")
    store.save_overrides(known(entry(Action.CREATE, 1, OTHER)))
    store.journal.begin(Run("run", Command.APPLY, "release", "owner", "2026-11-23"))
    store.journal.record(entry(Action.CREATE, 2, ONE))
    assert store.overrides().overrides("network", instance(2)) == {}
    assert store.overrides().overrides("network", instance(1, OTHER)) == {}
    store.journal.close(good=True)
    assert store.overrides().overrides("network", instance(1, OTHER)) == {}
