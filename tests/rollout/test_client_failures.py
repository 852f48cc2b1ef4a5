"""Events that give the reasons of a stack's failure; scripted, since servers fail one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.aws import stacks

STACK = "arn:aws:cloudformation:us-east-1:111111111111:stack/network/1"


class Events:
    """A session whose only answer is a list of events, written oldest first and given newest first."""

    def __init__(self, *events: tuple[str, str, str]) -> None:
        self.events = events
        self.validated: int | None = None
        """The minute in which a validation found something."""

    def pages(self, _service: str, operation: str, **_request: Any) -> Iterator[dict[str, Any]]:
        if operation == "DescribeEvents":
            if self.validated is not None:
                yield {
                    "EventType": "VALIDATION_ERROR",
                    "OperationId": "one",
                    "LogicalResourceId": "Payments",
                    "ResourceType": "AWS::SQS::Queue",
                    "ValidationStatusReason": "no such property",
                    "ValidationPath": "/Resources/Payments/Properties/Colour",
                    "Timestamp": datetime(2026, 11, 23, 12, self.validated, tzinfo=UTC),
                }
            return
        for minute, (name, status, reason) in reversed(list(enumerate(self.events))):
            whole = name == "network"
            yield {
                "StackId": STACK,
                "PhysicalResourceId": STACK if whole else name.lower(),
                "LogicalResourceId": name,
                "ResourceType": "AWS::CloudFormation::Stack" if whole else "AWS::SQS::Queue",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "Timestamp": datetime(2026, 11, 23, 12, minute, tzinfo=UTC),
            }


BEGUN = ("network", "UPDATE_IN_PROGRESS", "User Initiated")
FIRST = ("Payments", "UPDATE_FAILED", "no room\nleft")
SECOND = ("Refunds", "CREATE_FAILED", "no room either")
ROLLED_BACK = ("network", "UPDATE_ROLLBACK_COMPLETE", "")


def failures(*events: tuple[str, str, str]) -> list[str]:
    return stacks.failures(Events(*events), STACK)  # type: ignore[arg-type]


def test_the_first_failure_comes_first_and_each_in_one_line() -> None:
    assert failures(BEGUN, FIRST, SECOND, ROLLED_BACK) == [
        "Payments (AWS::SQS::Queue): no room left",
        "Refunds (AWS::SQS::Queue): no room either",
    ]


@pytest.mark.parametrize("reason", ["Resource creation cancelled", "Resource update cancelled"])
def test_what_was_cancelled_is_no_cause(reason: str) -> None:
    cancelled = ("Accounts", "CREATE_FAILED", reason)
    assert failures(BEGUN, cancelled, SECOND, cancelled) == ["Refunds (AWS::SQS::Queue): no room either"]


def test_operations_before_the_last_do_not_count() -> None:
    assert failures(BEGUN, FIRST, ROLLED_BACK, BEGUN, SECOND) == ["Refunds (AWS::SQS::Queue): no room either"]
    assert failures(BEGUN, FIRST, ROLLED_BACK, BEGUN, ("network", "UPDATE_COMPLETE", "")) == []


def test_the_rollback_is_part_of_the_operation_that_failed() -> None:
    rollback = ("network", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [Payments].")
    assert failures(BEGUN, FIRST, rollback, ROLLED_BACK) == ["Payments (AWS::SQS::Queue): no room left"]


def test_a_deletion_that_went_well_hides_no_reason_and_one_that_did_not_has_its_own() -> None:
    deletion = ("network", "DELETE_IN_PROGRESS", "User Initiated")
    assert failures(BEGUN, FIRST, deletion) == ["Payments (AWS::SQS::Queue): no room left"]
    stuck = ("Refunds", "DELETE_FAILED", "in use")
    assert failures(BEGUN, FIRST, deletion, stuck) == ["Refunds (AWS::SQS::Queue): in use"]


@pytest.mark.parametrize(("minute", "is_told"), [(1, False), (3, True)])
def test_a_validation_of_which_no_event_tells_is_the_reason_unless_an_operation_came_after(
    minute: int, is_told: bool
) -> None:
    events = Events(BEGUN, ("network", "UPDATE_COMPLETE", ""), BEGUN, ("network", "UPDATE_COMPLETE", ""))
    events.validated = minute
    reason = "Payments (AWS::SQS::Queue): no such property at /Resources/Payments/Properties/Colour"
    assert stacks.failures(events, STACK) == ([reason] if is_told else [])  # type: ignore[arg-type]


def test_a_validation_that_tells_of_no_resource_is_told_all_the_same() -> None:
    class Short(Events):
        def pages(self, _service: str, operation: str, **_request: Any) -> Iterator[dict[str, Any]]:
            for each in super().pages(_service, operation, **_request):
                if operation == "DescribeEvents":
                    for name in ("LogicalResourceId", "ResourceType", "ValidationPath"):
                        del each[name]
                yield each

    events = Short(BEGUN, ROLLED_BACK)
    events.validated = 1
    assert stacks.failures(events, STACK) == ["the template: no such property"]  # type: ignore[arg-type]
