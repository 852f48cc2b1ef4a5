"""Stacks of whichever account: as they are, and why they failed.

Change sets of CloudFormation: made, described in pages, and deleted in any case.

Plain stacks by change set, in accounts that StackSets does not carry.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from builders.errors import RolloutError
from builders.rollout.aws import stack_sets
from builders.rollout.aws.access import PhaseRoles, Session
from builders.rollout.aws.calls import ApiCalls
from builders.rollout.aws.errors import NotFound, Refused
from builders.rollout.model import DeployedStack, Target, Values

BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")

Found = Mapping[str, Any]
Progress = Callable[[str], None]
"""Is told the stack's status while it is waited for, once for each that is new."""


def describe(calls: ApiCalls, where: Session, stack: str) -> Found | None:
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


def deployed(calls: ApiCalls, where: Session, stack: str) -> DeployedStack | None:
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


def deployed_as(found: Found, template: object) -> DeployedStack:
    """Put together what DescribeStacks and GetTemplate tell; boto3 has read a JSON template already."""
    return DeployedStack(
        template=template if isinstance(template, str) else json.dumps(template),
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        status=found["StackStatus"],
        outputs=outputs(found),
    )


def outputs(found: Found) -> dict[str, str]:
    """The outputs that DescribeStacks tells."""
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def failures(calls: ApiCalls, where: Session, stack: str, after: datetime | None = None) -> list[str]:
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


def settled(calls: ApiCalls, where: Session, stack_id: str, progress: Progress | None = None) -> str:
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


def _events(calls: ApiCalls, where: Session, stack: str) -> Iterator[Any]:
    """The newest event first (CloudFormation API reference, DescribeStackEvents)."""
    return calls.pages(where, "cloudformation", "DescribeStackEvents", "StackEvents", StackName=stack)


def _says_why(event: Found) -> bool:
    """Not those that were under way when another failed: "Resource creation cancelled"."""
    return "cancelled" not in event.get("ResourceStatusReason", "cancelled")


def _begins(event: Found) -> bool:
    """Whether an operation on the whole stack begins here."""
    return event.get("PhysicalResourceId") == event["StackId"] and event["ResourceStatus"] in BEGINNINGS


@dataclass(frozen=True)
class ResourceChange:
    """A change as DescribeChangeSet tells it.

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
class Wanted:
    """What a stack shall be. `kind` is CREATE or UPDATE; without `tags` it keeps its own."""

    stack: str
    template: str
    values: Values
    kind: str
    tags: Values | None = None


@contextlib.contextmanager
def made(calls: ApiCalls, where: Session, desired: Wanted) -> Iterator[str | None]:
    """Make a change set and give its name, or None when nothing would change; delete it at the end.

    Raises `RolloutError` with AWS's reason when it cannot be made.
    """
    stack_sets.require_inline(desired.stack, desired.template)
    name = f"stackferry-{uuid.uuid4().hex}"
    request: dict[str, Any] = {
        "StackName": desired.stack,
        "ChangeSetName": name,
        "ChangeSetType": desired.kind,
        "TemplateBody": desired.template,
        "Parameters": stack_sets.parameters(desired.values),
        "Capabilities": stack_sets.CAPABILITIES,
    }
    if desired.tags is not None:
        request["Tags"] = stack_sets.tags_of(desired.tags)
    try:
        _create(calls, where, request)
        yield name if _has_changes(calls, where, desired.stack, name) else None
    except BaseException:
        # It may be there, whatever went wrong; but what went wrong is what must be told.
        with contextlib.suppress(RolloutError):
            _discard(calls, where, desired.stack, name)
        raise
    _discard(calls, where, desired.stack, name)


def execute(calls: ApiCalls, where: Session, stack: str, name: str) -> None:
    """Begin to carry a change set out."""
    try:
        calls.ask(
            where, "cloudformation", "ExecuteChangeSet", StackName=stack, ChangeSetName=name, ClientRequestToken=name
        )
    except Refused as refused:
        if "EXECUTE_" not in refused.words:  # its status by now, where only the answer of an attempt was lost
            raise


def changes(calls: ApiCalls, where: Session, stack: str, name: str) -> list[ResourceChange]:
    """What a change set would do."""
    found = calls.pages(where, "cloudformation", "DescribeChangeSet", "Changes", StackName=stack, ChangeSetName=name)
    return [_change(each["ResourceChange"]) for each in found if "ResourceChange" in each]


def _create(calls: ApiCalls, where: Session, request: Mapping[str, Any]) -> None:
    try:
        calls.ask(where, "cloudformation", "CreateChangeSet", **request)
    except Refused as refused:
        if refused.code != "AlreadyExistsException":  # the name is ours alone: only the answer was lost
            raise


def _has_changes(calls: ApiCalls, where: Session, stack: str, name: str) -> bool:
    for pause in pauses():
        found = calls.ask(where, "cloudformation", "DescribeChangeSet", StackName=stack, ChangeSetName=name)
        if not found["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
            break
        time.sleep(pause)
    if found["Status"] == "CREATE_COMPLETE":
        return True
    reason = found.get("StatusReason", "it gives no reason")
    # Both sentences are in use (aws/aws-cli, customizations/cloudformation/deployer.py).
    if "didn't contain changes" in reason or "No updates are to be performed" in reason:
        return False
    raise RolloutError(f"CloudFormation cannot change {stack} in {where}: {reason}")


def _discard(calls: ApiCalls, where: Session, stack: str, name: str) -> None:
    """Delete a change set; one that was executed is gone already, and one in the making must first be made."""
    for pause in pauses():
        try:
            calls.ask(where, "cloudformation", "DeleteChangeSet", StackName=stack, ChangeSetName=name)
        except NotFound:
            return
        except Refused as refused:
            if refused.code != "InvalidChangeSetStatus":
                if is_no_stack(refused):
                    return
                raise
            if "EXECUTE_" in refused.words or pause >= 5:
                return
            time.sleep(pause)
        else:
            return


def _change(found: Mapping[str, Any]) -> ResourceChange:
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


EMPTY = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
"""What failed attempts leave: stacks without resources. The first must be deleted, the second takes a change set."""


class PlainStacks:
    """Stacks of the tooling, network and target accounts, through the deploy role; in our own account without it."""

    def __init__(self, calls: ApiCalls, roles: PhaseRoles) -> None:
        self._calls = calls
        self._roles = roles

    def read(self, account: str, region: str, name: str) -> DeployedStack | None:
        """A stack as it is; None when it is not there, or is an empty one that a failed attempt left."""
        found = deployed(self._calls, self._roles.deploying(Target(account, region)), name)
        return None if found is None or found.status in EMPTY else found

    def deploy(
        self,
        account: str,
        region: str,
        name: str,
        template: str,
        values: Values,
        tags: Values,
        progress: Progress | None = None,
    ) -> DeployedStack:
        """Create or update a stack and wait for it; nothing happens where nothing changes.

        Raises `RolloutError` with the reasons of its failed events.
        """
        where = self._roles.deploying(Target(account, region))
        kind = self._made_ready(where, name, progress)
        desired = Wanted(name, template, values, kind, tags)
        try:
            with made(self._calls, where, desired) as change_set:
                if change_set:
                    execute(self._calls, where, name, change_set)
                    self._wait(where, name, progress)
        finally:
            if kind == "CREATE":
                self._sweep(where, name)
        found = deployed(self._calls, where, name)
        if found is None:
            raise RolloutError(f"stack {name} in {where} was deleted by somebody else while it was deployed")
        return found

    def delete(self, account: str, region: str, name: str, progress: Progress | None = None) -> None:
        """Delete a stack and wait until it is gone; nothing happens when it is not there."""
        self._delete(self._roles.deploying(Target(account, region)), name, progress)

    def _delete(self, where: Session, name: str, progress: Progress | None) -> None:
        found = describe(self._calls, where, name)
        if found is None:
            return
        self._calls.ask(where, "cloudformation", "DeleteStack", StackName=found["StackId"])
        status = settled(self._calls, where, found["StackId"], progress)
        if status != "DELETE_COMPLETE":
            raise self._failed(where, found["StackId"], name, status)

    def _made_ready(self, where: Session, name: str, progress: Progress | None) -> str:
        """Wait for what is under way, take away what a failed creation left; return the kind of change set to make."""
        found = describe(self._calls, where, name)
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return "CREATE"
        status = settled(self._calls, where, found["StackId"], progress)
        if status == "ROLLBACK_COMPLETE":
            self._delete(where, name, progress)
            return "CREATE"
        if status.endswith("_FAILED"):
            remedy = "continue its rollback" if status == "UPDATE_ROLLBACK_FAILED" else "delete it"
            raise RolloutError(f"stack {name} in {where} is {status}; {remedy} in the CloudFormation console first")
        return "CREATE" if status == "DELETE_COMPLETE" else "UPDATE"

    def _wait(self, where: Session, name: str, progress: Progress | None) -> None:
        status = settled(self._calls, where, name, progress)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._failed(where, name, name, status)

    def _sweep(self, where: Session, name: str) -> None:
        """Take away the empty stack that a change set of type CREATE leaves when it is not executed."""
        found = describe(self._calls, where, name)
        if found and found["StackStatus"] == "REVIEW_IN_PROGRESS":
            self._delete(where, name, None)

    def _failed(self, where: Session, stack: str, name: str, status: str) -> RolloutError:
        reasons = failures(self._calls, where, stack)
        return RolloutError("; ".join([f"stack {name} in {where} is {status}", *reasons]))
