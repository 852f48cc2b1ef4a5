"""A plan with the changes that AWS itself foresees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from builders.aws.change_sets import ResourceChange
from builders.errors import RolloutError
from builders.rollout.checks.change_sets import with_change_sets
from builders.rollout.model import Target
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan
from builders.stack_diff.effects import Change, Effect
from builders.stack_diff.values import ChangedValue
from rollout.planned import SUBNET, plan, targets

HERE, THERE = targets(1)
MODIFIED = ResourceChange("Topic", "AWS::SNS::Topic", "Modify")
REPLACED = ResourceChange("Topic", "AWS::SNS::Topic", "Modify", replacement="True", causes=("Properties.TopicName",))


class AnsweringSession:
    """A session whose change sets have these changes, or that refuses to make one."""

    def __init__(self, answer: list[ResourceChange] | RolloutError) -> None:
        self._answer = answer

    def ask(self, _service: str, operation: str, **_request: object) -> dict[str, str]:
        if operation == "CreateChangeSet" and isinstance(self._answer, RolloutError):
            raise self._answer
        return {"Status": "CREATE_COMPLETE"}

    def pages(self, *_asked: str, **_request: object) -> list[dict[str, Any]]:
        assert not isinstance(self._answer, RolloutError)
        return [{"ResourceChange": described(each)} for each in self._answer]


def described(change: ResourceChange) -> dict[str, Any]:
    """A change as DescribeChangeSet has it."""
    causes = (each.partition(".") for each in change.causes)
    return {
        "LogicalResourceId": change.logical_id,
        "ResourceType": change.type,
        "Action": change.action,
        "Replacement": change.replacement,
        "PolicyAction": change.policy_action,
        "Details": [{"Target": {"Attribute": attribute, "Name": name}} for attribute, _, name in causes],
    }


def asked(
    answers: Mapping[Target, list[ResourceChange] | RolloutError],
    changes: tuple[Change, ...] = (),
    values: tuple[ChangedValue, ...] = (),
) -> Plan:
    """A plan that updates the network at these targets, after AWS has answered for each."""

    client: Any = SimpleNamespace(reading=lambda target: AnsweringSession(answers[target]))
    spec = SimpleNamespace(template="{}", values=lambda target: {})
    stack_ids = {("network", target): f"arn:{target}" for target in answers}
    desired: Any = SimpleNamespace(sets={"network": spec})
    current: Any = SimpleNamespace(sets={"network": SimpleNamespace(stack_ids=stack_ids)})
    made = plan(Group("rest", "network", ChangeKind.UPDATE, tuple(answers), changes, values))
    return with_change_sets(client, desired, current, made)


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (ResourceChange("Topic", "AWS::SNS::Topic", "Add"), Effect.ADD),
        (MODIFIED, Effect.MODIFY),
        (REPLACED, Effect.REPLACE),
        (ResourceChange("Topic", "AWS::SNS::Topic", "Modify", replacement="Conditional"), Effect.MAY_REPLACE),
        (ResourceChange("Topic", "AWS::SNS::Topic", "Dynamic"), Effect.MAY_REPLACE),
        (ResourceChange("Topic", "AWS::SNS::Topic", "Remove", policy_action="Delete"), Effect.REMOVE),
        (ResourceChange("Topic", "AWS::SNS::Topic", "Remove", policy_action="Retain"), Effect.RETAIN),
    ],
)
def test_a_change_of_a_change_set_becomes_one_of_ours(answer: ResourceChange, effect: Effect) -> None:
    (group,) = asked({HERE: [answer]}).groups
    assert [(each.logical_id, each.effect) for each in group.changes or ()] == [("Topic", effect)]


def test_targets_for_which_aws_answers_differently_are_groups_of_their_own() -> None:
    found = asked({HERE: [MODIFIED], THERE: [REPLACED]}).groups
    assert [(group.targets, [each.effect for each in group.changes or ()]) for group in found] == [
        ((HERE,), [Effect.MODIFY]),
        ((THERE,), [Effect.REPLACE]),
    ]


def test_targets_that_leave_a_group_take_their_own_values_along() -> None:
    everywhere = ChangedValue("Topic", "DisplayName", "a", "b")
    here, there = (dataclasses.replace(everywhere, after=each.region, targets=(each,)) for each in (HERE, THERE))
    found = asked({HERE: [MODIFIED], THERE: [REPLACED]}, values=(everywhere, here, there)).groups
    assert [group.values for group in found] == [
        (everywhere, dataclasses.replace(here, targets=())),
        (everywhere, dataclasses.replace(there, targets=())),
    ]


def test_a_replacement_that_the_plan_does_not_have_is_noted_once() -> None:
    found = asked({HERE: [REPLACED], THERE: [REPLACED]}, changes=(SUBNET,))
    assert found.notes == (
        "network: AWS replaces Topic (AWS::SNS::Topic), which its schema does not show; no hazard of this plan takes "
        "that into account",
    )


def test_where_aws_refuses_a_change_set_the_changes_of_the_plan_stay() -> None:
    found = asked({HERE: RolloutError("no access")}, changes=(SUBNET,))
    assert [group.changes for group in found.groups] == [(SUBNET,)]
    assert found.notes == (f"network at {HERE}: no change set: no access",)
