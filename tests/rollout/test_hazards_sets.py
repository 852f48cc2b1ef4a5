"""Hazards of a stack set as a whole: parameters that are new."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from stack_diff.changing import template

from builders.rollout.model import (
    CurrentState,
    DeployedStack,
    Instance,
    StackSet,
    StackSetSpec,
    Status,
    Target,
)
from builders.rollout.plan.hazards import new_parameter_hazards
from builders.stack_diff.hazards import Hazard, HazardKind

HERE = Target("111111111111", "us-east-1")
THERE = Target("111111111111", "eu-west-1")
TOPIC = {"Type": "AWS::SNS::Topic"}
OLD = template({"A": TOPIC}, Parameters={"Old": {"Type": "String"}})
NEW = template({"A": TOPIC}, Parameters={"Old": {"Type": "String"}, "New": {"Type": "String", "Default": "x"}})


def desired(overrides: Mapping[Target, Mapping[str, str]]) -> StackSetSpec:
    return StackSetSpec("network", "stackferry-network-dev", NEW, {"Old": "a"}, overrides)


def state(*targets: Target) -> StackSet:
    instances = {target: Instance(target, Status.CURRENT, "SUCCEEDED") for target in targets}
    return StackSet("network", "stackferry-network-dev", OLD, {"Old": "a"}, {}, instances)


def new_parameters(spec: StackSetSpec, present: StackSet | None, here: str = "") -> tuple[Hazard, ...]:
    """The hazards of new parameters, where the stack at one target is known to have a template."""
    deployed = {("network", HERE): DeployedStack(here, {}, "UPDATE_COMPLETE")} if here else {}
    return new_parameter_hazards(spec, CurrentState({"network": present} if present else {}, deployed))


def test_a_new_parameter_cannot_have_a_value_of_its_own_at_once() -> None:
    (hazard,) = new_parameters(desired({HERE: {"New": "1"}, THERE: {"New": "2"}}), state(HERE, THERE))
    assert hazard == Hazard(
        HazardKind.NEW_PARAMETER,
        "network",
        "New",
        "parameter New is new and has a value of its own at 111111111111/eu-west-1 and 111111111111/us-east-1: "
        "an instance cannot be given one before every instance has the parameter",
        "first roll out with one value of New for all, then with the values of their own",
        acknowledgeable=False,
    )


@pytest.mark.parametrize(
    ("spec", "present"),
    [
        (desired({HERE: {}}), state(HERE)),
        (desired({HERE: {"Old": "b"}}), state(HERE)),
        (desired({HERE: {"New": "1"}}), state()),
        (desired({HERE: {"New": "1"}}), None),
        (desired({HERE: {}, THERE: {"New": "1"}}), state(HERE)),
    ],
)
def test_one_value_for_all_and_instances_to_come_are_no_hazard(spec: StackSetSpec, present: StackSet | None) -> None:
    assert new_parameters(spec, present) == ()


def test_what_an_instance_is_deployed_with_counts_more_than_the_sets_template() -> None:
    spec = desired({HERE: {"New": "1"}})
    stored = StackSet("network", "name", NEW, {}, {}, state(HERE).instances)
    assert new_parameters(spec, state(HERE), NEW) == ()
    # UpdateStackSet stores a template even where the operation fails, so that the set knows more than the instance.
    (hazard,) = new_parameters(spec, stored, OLD)
    assert hazard.resource == "New"


def test_thousands_of_targets_are_named_in_a_line() -> None:
    targets = [Target(f"{number:012}", "us-east-1") for number in range(2_000)]
    (hazard,) = new_parameters(desired({target: {"New": str(target)} for target in targets}), state(*targets))
    assert "000000000002/us-east-1 and 1,997 more" in hazard.message
