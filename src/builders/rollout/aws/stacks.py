"""Stacks of any account: as they are, why they failed, and the change sets that change them.

A change set is made, described in pages, and deleted in any case.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from builders.aws.calls import Session
from builders.aws.errors import NotFound, Refused
from builders.errors import RolloutError
from builders.naming import TEMPLATE_LIMIT_BYTES
from builders.rollout.model import DeployedStack, Values, digest

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

Answer = Mapping[str, Any]


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

    It needs cloudformation:ListStacks besides, on all stacks (API reference, DescribeStacks).
    """
    return session.pages("cloudformation", "DescribeStacks")


def deployed(session: Session, stack: str, expected: str = "") -> DeployedStack | None:
    """A stack with its template as it was given; None when it is not there."""
    found = describe(session, stack)
    return None if found is None else with_template(session, found, expected)


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
        outputs=outputs(found),
        tags=tags,
    )


def outputs(found: Answer) -> dict[str, str]:
    """The outputs of a stack as DescribeStacks has it."""
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


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
        return _validation_errors(session, StackName=stack) or found[::-1]
    # One that stopped a stack before all events came after what they tell of.
    return found[::-1] or _validation_errors(session, since=begun, StackName=stack)


VALIDATED = "DescribeEvents"
"""The word in reasons that tell of a validation before the deployment, and not what it found (CloudFormation user
guide, "Validate stack deployments")."""


EVER, NEVER = (each.replace(tzinfo=UTC) for each in (datetime.min, datetime.max))


def _validation_errors(session: Session, since: datetime = EVER, **which: str) -> list[str]:
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


def read_parameters(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
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
    size = len(template.encode())
    if size > TEMPLATE_LIMIT_BYTES:
        message = (
            f"the template of {name} has {size:,} bytes; CloudFormation takes {TEMPLATE_LIMIT_BYTES:,}: split the layer"
        )
        raise RolloutError(message)


@dataclass(frozen=True)
class ResourceChange:
    """A change as DescribeChangeSet has it.

    `action` is Add, Modify, Remove, Dynamic or Import; `replacement` is True, False, Conditional or empty; `causes` are
    the properties and attributes that change, such as "Properties.DBInstanceClass" or "Tags"; `policy_action` is
    Delete, Retain, Snapshot, ReplaceAndDelete, ReplaceAndRetain, ReplaceAndSnapshot or empty.
    """

    logical_id: str
    type: str
    action: str
    replacement: str = ""
    causes: tuple[str, ...] = ()
    physical_id: str = ""
    policy_action: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """A change set of a stack, by its name."""

    session: Session
    stack: str
    name: str

    def changes(self) -> list[ResourceChange]:
        """The changes that it would make."""
        found = self.session.pages("cloudformation", "DescribeChangeSet", **self._request)
        return [_change(each["ResourceChange"]) for each in found if "ResourceChange" in each]

    def execute(self) -> None:
        """Begin to carry it out."""
        try:
            self.ask("ExecuteChangeSet", ClientRequestToken=self.name)
        except Refused as refused:
            if "EXECUTE_" not in refused.reason:  # its status by now, where only the answer of an attempt was lost
                raise

    def create(self, **request: Any) -> bool:
        """Make it, and return whether it changes anything. Raises `RolloutError` with AWS's reason."""
        try:
            self.ask("CreateChangeSet", **request)
        except Refused as refused:
            if refused.code != "AlreadyExistsException":  # the name is ours alone: only the answer was lost
                raise
        for pause in pauses():
            found = self.ask("DescribeChangeSet")
            if not found["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
                break
            time.sleep(pause)
        if found["Status"] == "CREATE_COMPLETE":
            return True
        reason = found.get("StatusReason", "it gives no reason")
        # Both sentences are in use (aws/aws-cli, customizations/cloudformation/deployer.py).
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return False
        if VALIDATED in reason:
            reason = "; ".join(_validation_errors(self.session, ChangeSetName=found["ChangeSetId"])) or reason
        raise RolloutError(f"CloudFormation cannot change {self.stack} in {self.session}: {reason}")

    def discard(self) -> None:
        """Delete it; one that was executed is gone already, and one in the making must first be made."""
        for pause in pauses():
            try:
                self.ask("DeleteChangeSet")
            except NotFound:
                return
            except Refused as refused:
                if refused.code != "InvalidChangeSetStatus":
                    raise
                if "EXECUTE_" in refused.reason or pause >= 5:
                    return
                time.sleep(pause)
            else:
                return

    def ask(self, operation: str, **request: Any) -> Any:
        """Make one call that names the change set."""
        return self.session.ask("cloudformation", operation, **self._request, **request)

    @property
    def _request(self) -> dict[str, str]:
        return {"StackName": self.stack, "ChangeSetName": self.name}


@contextlib.contextmanager
def change_set(
    session: Session, stack: str, kind: str, template: str, values: Values, tags: Values | None = None
) -> Iterator[ChangeSet | None]:
    """Make a change set, None when nothing would change, and delete it at the end.

    `kind` is CREATE or UPDATE; without `tags` the stack keeps its own. Raises `RolloutError` with AWS's reason when it
    cannot be made.
    """
    require_inline(stack, template)
    made = ChangeSet(session, stack, f"stackferry-{uuid.uuid4().hex}")
    request = {"TemplateBody": template, "Parameters": api_parameters(values), "Capabilities": CAPABILITIES}
    if tags is not None:
        request["Tags"] = api_tags(tags)
    try:
        yield made if made.create(ChangeSetType=kind, **request) else None
    except BaseException:
        # It may be there, whatever went wrong; but the first error is the one to raise.
        with contextlib.suppress(RolloutError):
            made.discard()
        raise
    made.discard()


def _change(found: Answer) -> ResourceChange:
    targets = [each["Target"] for each in found.get("Details", []) if "Target" in each]
    causes = (".".join(filter(None, (each.get("Attribute"), each.get("Name")))) for each in targets)
    return ResourceChange(
        logical_id=found["LogicalResourceId"],
        type=found["ResourceType"],
        action=found["Action"],
        replacement=found.get("Replacement", ""),
        causes=tuple(dict.fromkeys(causes)),
        physical_id=found.get("PhysicalResourceId", ""),
        policy_action=found.get("PolicyAction", ""),
    )
