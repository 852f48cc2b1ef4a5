"""Stacks changed by change sets, as `aws cloudformation deploy` does: created, updated, and deleted.

A change set is made, described in pages, and deleted in any case.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from builders.aws import stacks
from builders.aws.calls import Session
from builders.aws.errors import NotFound, Refused
from builders.errors import RolloutError
from builders.template_bodies import REPAIRS, DeployedStack, PlainStack


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
        for pause in stacks.pauses():
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
        if stacks.VALIDATED in reason:
            reason = "; ".join(stacks.validation_errors(self.session, ChangeSetName=found["ChangeSetId"])) or reason
        raise RolloutError(f"CloudFormation cannot change {self.stack} in {self.session}: {reason}")

    def discard(self) -> None:
        """Delete it; one that was executed is gone already, and one in the making must first be made."""
        for pause in stacks.pauses():
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
    session: Session,
    stack: str,
    kind: str,
    template: str,
    values: stacks.Values,
    tags: stacks.Values | None = None,
) -> Iterator[ChangeSet | None]:
    """Make a change set, None when nothing would change, and delete it at the end.

    `kind` is CREATE or UPDATE; without `tags` the stack keeps its own. Raises `RolloutError` with AWS's reason when it
    cannot be made.
    """
    stacks.require_inline(stack, template)
    made = ChangeSet(session, stack, f"stackferry-{uuid.uuid4().hex}")
    request = {
        "TemplateBody": template,
        "Parameters": stacks.api_parameters(values),
        "Capabilities": stacks.CAPABILITIES,
    }
    if tags is not None:
        request["Tags"] = stacks.api_tags(tags)
    try:
        yield made if made.create(ChangeSetType=kind, **request) else None
    except BaseException:
        # It may be there, whatever went wrong; but the first error is the one to raise.
        with contextlib.suppress(RolloutError):
            made.discard()
        raise
    made.discard()


def _change(found: stacks.Answer) -> ResourceChange:
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


def preview(session: Session, stack: str, template: str, values: stacks.Values) -> list[ResourceChange]:
    """The changes that AWS foretells for an update, by a change set that is deleted in any case."""
    with change_set(session, stack, "UPDATE", template, values) as found:
        return found.changes() if found else []


def before_deployment(session: Session, stack: PlainStack) -> DeployedStack | None:
    """A stack as it is once nothing is under way."""
    found = stacks.standing(session, stack.name, stack.template)
    if found is not None and found.status.endswith("_IN_PROGRESS"):
        stacks.settled(session, stack.name)
        found = stacks.standing(session, stack.name, stack.template)
    return found


def deploy(
    session: Session, stack: PlainStack, agree: Callable[[Sequence[ResourceChange]], None] | None = None
) -> DeployedStack:
    """Create or update a stack and wait for it; nothing happens where nothing changes.

    `agree` is told the changes that CloudFormation is about to make, and raises what forbids them. Raises
    `RolloutError` with the reasons of its failed events.
    """
    name, kind = stack.name, _prepare(session, stack.name)
    try:
        with change_set(session, name, kind, stack.template, stack.values, stack.tags) as made:
            if made:
                if agree:
                    agree(made.changes())
                made.execute()
                _wait(session, name, name, ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
    finally:
        # A change set of type CREATE that is not executed leaves an empty stack.
        left = stacks.describe(session, name) if kind == "CREATE" else None
        if left and left["StackStatus"] == "REVIEW_IN_PROGRESS":
            delete(session, name)
    found = stacks.deployed(session, name, stack.template)
    if found is None:
        raise RolloutError(f"stack {name} in {session} was deleted by somebody else while it was deployed")
    return found


def delete(session: Session, name: str) -> None:
    """Delete a stack and wait until it is gone; nothing happens when it is not there."""
    found = stacks.describe(session, name)
    if found is not None:
        session.ask("cloudformation", "DeleteStack", StackName=found["StackId"])
        _wait(session, name, found["StackId"], ("DELETE_COMPLETE",))


def _prepare(session: Session, name: str) -> str:
    """Wait for what is under way, delete what a failed creation left; return the kind of change set to make."""
    found = stacks.describe(session, name)
    if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
        return "CREATE"
    status = stacks.settled(session, found["StackId"])
    if status == "ROLLBACK_COMPLETE":
        delete(session, name)
        return "CREATE"
    if remedy := REPAIRS.get(status):
        raise RolloutError(f"stack {name} in {session} is {status}; {remedy}, then run this again")
    return "CREATE" if status == "DELETE_COMPLETE" else "UPDATE"


def _wait(session: Session, name: str, stack_id: str, good: tuple[str, ...]) -> None:
    """Wait for the end of an operation. Raises `RolloutError` with the reasons where it is none of `good`."""
    status = stacks.settled(session, stack_id)
    if status not in good:
        reasons = stacks.failures(session, stack_id)
        raise RolloutError("; ".join([f"stack {name} in {session} is {status}", *reasons]))
