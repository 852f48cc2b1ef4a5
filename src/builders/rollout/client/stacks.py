"""Stacks of whichever account: as they are, and why they failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from builders.rollout.client.calls import Calls
from builders.rollout.client.refusals import Refused
from builders.rollout.client.sessions import Where
from builders.rollout.model import Deployed

BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")

Found = Mapping[str, Any]
Progress = Callable[[str], None]
"""Is told the stack's status while it is waited for, once for each that is new."""


def describe(calls: Calls, where: Where, stack: str) -> Found | None:
    """A stack by name or ARN, as DescribeStacks has it; None when it is not there, or was deleted."""
    try:
        found: Found = calls.ask(where, "cloudformation", "DescribeStacks", StackName=stack)["Stacks"][0]
    except Refused as refused:
        if is_no_stack(refused):
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def is_no_stack(refused: Refused) -> bool:
    """Whether that says that there is no such stack: CloudFormation has no error of its own for it."""
    return refused.code == "ValidationError" and "does not exist" in refused.words


def deployed(calls: Calls, where: Where, stack: str) -> Deployed | None:
    """A stack with its template as it was given; None when it is not there."""
    found = describe(calls, where, stack)
    if found is None:
        return None
    try:
        answer = calls.ask(where, "cloudformation", "GetTemplate", StackName=stack, TemplateStage="Original")
    except Refused as refused:
        if is_no_stack(refused):
            return None
        raise
    return deployed_as(found, answer["TemplateBody"])


def deployed_as(found: Found, template: object) -> Deployed:
    """Put together what DescribeStacks and GetTemplate tell; boto3 has read a JSON template already."""
    return Deployed(
        template=template if isinstance(template, str) else json.dumps(template),
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        status=found["StackStatus"],
        outputs=outputs(found),
    )


def outputs(found: Found) -> dict[str, str]:
    """The outputs that DescribeStacks tells."""
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def failures(calls: Calls, where: Where, stack: str, after: datetime | None = None) -> list[str]:
    """Why resources failed in the stack's last operation, the first failure first; none when the stack is unknown.

    A deletion without failures is passed over: StackSets deletes what it could not create, and the reason is before.
    """
    found: list[str] = []
    try:
        for event in _events(calls, where, stack):
            if after is not None and event["Timestamp"] < after:
                break
            if event["ResourceStatus"].endswith("_FAILED") and _says_why(event):
                why = " ".join(event["ResourceStatusReason"].split())
                found.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {why}")
            if _begins(event) and (found or event["ResourceStatus"] != "DELETE_IN_PROGRESS"):
                break
    except Refused as refused:
        if not is_no_stack(refused):
            raise
    return found[::-1]


def settled(calls: Calls, where: Where, stack_id: str, progress: Progress | None = None) -> str:
    """Wait until nothing is in progress, and return the status; DELETE_COMPLETE when the stack is not there."""
    status, said, pause = "", "", pauses()
    while True:
        found = describe(calls, where, stack_id)
        status = found["StackStatus"] if found else "DELETE_COMPLETE"
        if progress and status != said:
            progress(status)
        said = status
        if not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(next(pause))


def pauses() -> Iterator[float]:
    """Seconds between two looks: short at first, since much is over at once, and up to 5."""
    seconds = 0.1
    while True:
        yield seconds
        seconds = min(seconds * 1.6, 5.0)


def _events(calls: Calls, where: Where, stack: str) -> Iterator[Any]:
    """The newest event first (CloudFormation API reference, DescribeStackEvents)."""
    return calls.pages(where, "cloudformation", "DescribeStackEvents", "StackEvents", StackName=stack)


def _says_why(event: Found) -> bool:
    """Not those that were under way when another failed: "Resource creation cancelled"."""
    return "cancelled" not in event.get("ResourceStatusReason", "cancelled")


def _begins(event: Found) -> bool:
    """Whether an operation on the whole stack begins here."""
    return event.get("PhysicalResourceId") == event["StackId"] and event["ResourceStatus"] in BEGINNINGS
