"""Stacks of an account and region as CloudFormation describes them, what is in them, and why they failed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from builders.aws.calls import Session, concurrently
from builders.aws.errors import AccessDenied, NotFound, Refused
from builders.errors import RolloutError
from builders.naming import oversize
from builders.outputs import of_stack
from builders.template_bodies import DeployedStack, digest

CAPABILITIES = ["CAPABILITY_NAMED_IAM"]

BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")
"""Statuses of a stack by which an operation on the whole of it begins."""

NOT_DELETED = (
    *("CREATE_IN_PROGRESS", "CREATE_FAILED", "CREATE_COMPLETE"),
    *("ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE"),
    *("DELETE_IN_PROGRESS", "DELETE_FAILED"),
    *("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_FAILED"),
    *("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
    "UPDATE_ROLLBACK_COMPLETE",
)
"""Statuses of stacks that exist; deleted ones are listed for 90 days (API reference, ListStacks)."""

EMPTY = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
"""Statuses that failed attempts leave: stacks without resources. The first must be deleted, the second takes a change
set."""

FEW = 10
"""So many stacks are read by their names, since the account may have thousands of others."""

Answer = Mapping[str, Any]
Values = Mapping[str, str]


@dataclass(frozen=True)
class StackResource:
    """A resource of a stack (ListStackResources)."""

    logical_id: str
    type: str
    physical_id: str
    status: str


def describe(session: Session, stack: str) -> Answer | None:
    """A stack by name or ARN, as DescribeStacks has it; None when it is not there, or was deleted."""
    try:
        found: Answer = session.ask("cloudformation", "DescribeStacks", StackName=stack)["Stacks"][0]
    except NotFound:
        return None
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def all_stacks(session: Session) -> Iterator[Answer]:
    """Every stack of an account and region that is not deleted, as DescribeStacks has it: as few calls as pages.

    Without a name DescribeStacks needs cloudformation:ListStacks besides, on all stacks (CloudFormation API reference,
    DescribeStacks).
    """
    return session.pages("cloudformation", "DescribeStacks")


def deployed(session: Session, stack: str, expected: str = "") -> DeployedStack | None:
    """A stack with its template as it was given; None when it is not there."""
    found = describe(session, stack)
    return None if found is None else with_template(session, found, expected)


def standing(session: Session, stack: str, expected: str = "") -> DeployedStack | None:
    """A stack with its template; None when it is not there, or is an empty one that a failed attempt left."""
    found = deployed(session, stack, expected)
    return None if found is None or found.status in EMPTY else found


def standing_of(session: Session, templates: Values) -> dict[str, DeployedStack]:
    """Return the stacks that exist, by name, as `standing` has them. `templates` are the expected ones.

    Many are read page by page, and templates only of those that may have another one.
    """

    def read(name: str) -> DeployedStack | None:
        found = listed.get(name) if listed is not None else describe(session, name)
        return None if found is None else with_template(session, found, templates[name])

    listed: dict[str, Answer] | None = None
    if len(templates) > FEW:
        with contextlib.suppress(AccessDenied):  # the role may be allowed to describe stacks by their names alone
            listed = {each["StackName"]: each for each in all_stacks(session)}
    found = {name: stack for name, stack in concurrently(read, templates) if stack}
    return {name: stack for name, stack in found.items() if stack.status not in EMPTY}


TEMPLATE_TAG = "stackferry:template"
"""The tag of a plain stack that has the digest of its template, so that a list of stacks says which ones have another.

Stack sets have no such tag: StackSets would write it to every resource of every instance with each new template
(CloudFormation API reference, UpdateStackSet, Tags).
"""


def with_template(session: Session, found: Answer, expected: str = "") -> DeployedStack | None:
    """A stack as DescribeStacks has it with its template, which is not asked for where a tag says it is `expected`."""
    template: Any = expected
    tags = {each["Key"]: each["Value"] for each in found.get("Tags", [])}
    if not expected or tags.get(TEMPLATE_TAG) != digest(expected):
        try:
            answer = session.ask("cloudformation", "GetTemplate", StackName=found["StackId"], TemplateStage="Original")
        except NotFound:
            return None
        template = answer["TemplateBody"]  # boto3 has read a JSON template already
    return DeployedStack(
        template=template if isinstance(template, str) else json.dumps(template),
        parameters=read_parameters(found.get("Parameters", [])),
        status=found["StackStatus"],
        outputs=of_stack(found),
        tags=tags,
        id=found["StackId"],
        protected=bool(found.get("EnableTerminationProtection")),
    )


def outputs(session: Session, stack: str) -> dict[str, str]:
    """A stack's outputs; none when it is gone."""
    return of_stack(describe(session, stack) or {})


def resources(session: Session, stack: str) -> tuple[StackResource, ...]:
    """Every resource of a stack that has been made, whatever its status."""
    return tuple(
        StackResource(each["LogicalResourceId"], each["ResourceType"], each["PhysicalResourceId"], status)
        for each in session.pages("cloudformation", "ListStackResources", StackName=stack)
        if each.get("PhysicalResourceId") and (status := each["ResourceStatus"]) != "DELETE_COMPLETE"
    )


def statuses(session: Session, prefix: str) -> dict[str, str]:
    """The stacks of an account and region whose names begin so, with their statuses: as few calls as pages."""
    found = session.pages("cloudformation", "ListStacks", StackStatusFilter=list(NOT_DELETED))
    return {each["StackName"]: each["StackStatus"] for each in found if each["StackName"].startswith(prefix)}


def failures(session: Session, stack: str) -> list[str]:
    """The failures of the stack's last operation with their reasons, in their order; none when there is no stack.

    A deletion without failures is passed over: StackSets deletes what it could not create, and the reason is before.
    """
    found: list[str] = []
    begun = NEVER
    with contextlib.suppress(NotFound):
        # The newest event comes first (CloudFormation API reference, DescribeStackEvents).
        for event in session.pages("cloudformation", "DescribeStackEvents", StackName=stack):
            status, why = event["ResourceStatus"], event.get("ResourceStatusReason", "cancelled")
            # "Resource creation cancelled": it was under way when another failed, and is no cause.
            if status.endswith("_FAILED") and "cancelled" not in why:
                found.append(f"{event['LogicalResourceId']} ({event['ResourceType']}): {' '.join(why.split())}")
            begins = event.get("PhysicalResourceId") == event["StackId"] and status in BEGINNINGS
            if begins and (found or status != "DELETE_IN_PROGRESS"):
                begun = event["Timestamp"]
                break
    if any(VALIDATED in each for each in found):
        return validation_errors(session, StackName=stack) or found[::-1]
    # One that stopped a stack before all events came after what they tell of.
    return found[::-1] or validation_errors(session, since=begun, StackName=stack)


def first_failure(session: Session, stack: str) -> str:
    """The first resource that failed in the stack's last operation, and why; empty when none did."""
    return next(iter(failures(session, stack)), "")


VALIDATED = "DescribeEvents"
"""The word in reasons that tell of a validation before the deployment, and not what it found (CloudFormation user
guide, "Validate stack deployments")."""


EVER, NEVER = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))


def validation_errors(session: Session, since: datetime = EVER, **which: str) -> list[str]:
    """The findings of the last validation of a stack or a change set; none where it may not be read, or is older."""
    try:
        found = list(session.pages("cloudformation", "DescribeEvents", Filters={"FailedEvents": True}, **which))
    except Refused:
        return []
    errors = [each for each in found if each.get("EventType") == "VALIDATION_ERROR" and each["Timestamp"] >= since]
    last = max(errors, key=lambda each: each["Timestamp"])["OperationId"] if errors else ""
    return [_validation_error(each) for each in errors if each["OperationId"] == last]


def _validation_error(event: Mapping[str, Any]) -> str:
    """Tell of an event as far as it does: all of its members are optional (API reference, OperationEvent)."""
    where = event.get("LogicalResourceId", "the template")
    kind, path = event.get("ResourceType"), event.get("ValidationPath")
    reason = event.get("ValidationStatusReason") or event.get("ValidationName", "it is not valid")
    return f"{where}{f' ({kind})' if kind else ''}: {reason}{f' at {path}' if path else ''}"


def settled(session: Session, stack_id: str) -> str:
    """Wait until nothing is in progress, and return the status; DELETE_COMPLETE when the stack is not there."""
    status = ""
    for pause in pauses():
        found = describe(session, stack_id)
        status = found["StackStatus"] if found else "DELETE_COMPLETE"
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(pause)
    return status


def pauses() -> Iterator[float]:
    """Seconds between two polls: short at first, since much is over at once, and up to 5."""
    seconds = 0.1
    while True:
        yield seconds
        seconds = min(seconds * 1.6, 5.0)


def read_parameters(found: Iterable[Values]) -> dict[str, str]:
    """Parameters by name, as the API has them."""
    return {each["ParameterKey"]: each["ParameterValue"] for each in found}


def api_parameters(values: Values) -> list[dict[str, str]]:
    """Parameters as the API writes them."""
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(values.items())]


def api_tags(values: Values) -> list[dict[str, str]]:
    """Tags as the API writes them."""
    return [{"Key": name, "Value": value} for name, value in sorted(values.items())]


def require_inline(name: str, template: str) -> None:
    """Refuse a template that is too large to be sent along."""
    if too_large := oversize(template):
        raise RolloutError(f"{name}: {too_large}; split the layer")
