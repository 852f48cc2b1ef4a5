"""An update of a set reaches every wave, though UpdateStackInstances promises to update parameters alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from builders.rollout.model import DesiredState, Target, Wave
from builders.rollout.plan.calls import Action

from .conftest import Administrator
from .small_phase import LAYERS, SmallPhase, body, layer_set
from .test_schedule import Recorder

TAGS = {"Environment": "dev", "CostCenter": "payments"}


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    """Three accounts, each a wave, where the first release is deployed."""
    small = SmallPhase(administrator, members, regions=("us-east-1",))
    assert small.run(release(small, "1")).good
    return small


def release(small: SmallPhase, version: str, **more: Any) -> DesiredState:
    sets = [layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS]
    waves = tuple(Wave(account, (account,)) for account in small.accounts)
    return dataclasses.replace(small.desired(*sets, waves=waves), **more)


def tags(small: SmallPhase) -> dict[tuple[str, Target], dict[str, str]]:
    """The tags of every stack of the phase, by layer and target."""
    found = {}
    for target in small.targets:
        stacks = small.administrator.api("cloudformation", target.account).describe_stacks()["Stacks"]
        for each in stacks:
            layer = next(layer for layer in LAYERS if f"stackferry-{layer}-" in each["StackName"])
            found[layer, target] = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
    return found


def test_a_run_stops_where_an_update_of_instances_did_not_carry_the_template(small: SmallPhase) -> None:
    small.administrator.fleet.drive(UpdateInstancesCarry=False)
    recorder = Recorder()
    report = small.run(release(small, "2"), observer=recorder)
    assert report.stopped == (
        f"network at {small.targets[1]}: UpdateStackInstances succeeded, and the stack does not have its stack set's "
        "template and tags; nothing more is sent; `rollout-stacksets drift --deep` names every such stack"
    )
    assert [(call.action, call.layer) for call in recorder.sent] == [
        *((Action.UPDATE_SET, layer) for layer in ("network", "database", "monitoring")),
        (Action.UPDATE, "network"),
    ]
    tried = [each for each in report.failures if "was not begun" not in each.reason]
    assert {(each.layer, each.target) for each in tried} == {(layer, small.targets[1]) for layer in LAYERS}


def test_an_update_that_is_carried_is_proven_once_a_layer(small: SmallPhase) -> None:
    small.client.calls.counts.clear()
    assert small.run(release(small, "2")).good
    assert small.client.calls.counts["cloudformation:GetTemplate"] == len(LAYERS)


def test_tags_alone_reach_every_wave(small: SmallPhase) -> None:
    """AWS may leave the others CURRENT: what was not touched since the update of its set is behind."""
    small.administrator.fleet.drive(SameTemplateLeavesStatus=True)
    assert small.run(release(small, "1", tags=TAGS)).good
    assert tags(small) == {(layer, target): TAGS for layer in LAYERS for target in small.targets}


@pytest.mark.parametrize("killed", [True, False])
def test_tags_alone_reach_every_wave_after_a_run_that_did_not_end_well(small: SmallPhase, killed: bool) -> None:
    small.administrator.fleet.drive(SameTemplateLeavesStatus=True)
    desired, second = release(small, "1", tags=TAGS), small.accounts[1]

    class Killer(Recorder):
        def wave(self, name: str, _targets: int) -> None:
            if killed and name == second:
                raise KeyboardInterrupt

    if killed:
        with pytest.raises(KeyboardInterrupt):
            small.run(desired, observer=Killer())
        assert small.resume(desired).good
    else:
        small.shut_out(second)
        assert not small.run(desired).good
        small.let_in(second)
        small.connect()
        assert small.run(desired).good
    assert tags(small) == {(layer, target): TAGS for layer in LAYERS for target in small.targets}
    assert small.plan(desired).nothing_to_do


def test_what_failed_is_tried_again_by_the_call_that_promises_it(small: SmallPhase) -> None:
    """A new CreateStackInstances "retries all stack instances whose status is OUTDATED" (API reference)."""
    second = small.targets[1]
    own = {target: {"DelaySeconds": "7"} if target == second else {} for target in small.targets}
    assert small.run(small.desired(*(layer_set(layer, own, body(layer)) for layer in LAYERS))).good
    sets = {layer: layer_set(layer, own, body(layer, version="2")) for layer in LAYERS}
    desired = release(small, "2", sets=sets)
    small.shut_out(second.account)
    assert not small.run(desired).good
    small.let_in(second.account)
    recorder = Recorder()
    assert small.run(desired, observer=recorder).good
    retried = [call for call in recorder.sent if call.layer == "network"]
    assert [(call.action, call.targets) for call in retried] == [
        (Action.CREATE, frozenset({second})),
        (Action.UPDATE, frozenset({small.targets[2]})),
    ]
    assert small.client.sets.overrides("stackferry-network-dev", second) == {"DelaySeconds": "7"}
    assert set(small.versions().values()) == {"2"}
