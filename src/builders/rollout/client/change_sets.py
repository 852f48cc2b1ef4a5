"""Change sets of CloudFormation: made, described in pages, and deleted in any case."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError
from builders.rollout.client import requests, stacks
from builders.rollout.client.calls import Calls
from builders.rollout.client.refusals import NotThere, Refused
from builders.rollout.client.sessions import Where
from builders.rollout.model import Values


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
def made(calls: Calls, where: Where, wanted: Wanted) -> Iterator[str | None]:
    """Make a change set and give its name, or None when nothing would change; delete it at the end.

    Raises `RolloutError` with AWS's reason when it cannot be made.
    """
    requests.require_inline(wanted.stack, wanted.template)
    name = f"stackferry-{uuid.uuid4().hex}"
    request: dict[str, Any] = {
        "StackName": wanted.stack,
        "ChangeSetName": name,
        "ChangeSetType": wanted.kind,
        "TemplateBody": wanted.template,
        "Parameters": requests.parameters(wanted.values),
        "Capabilities": requests.CAPABILITIES,
    }
    if wanted.tags is not None:
        request["Tags"] = requests.tags_of(wanted.tags)
    try:
        _create(calls, where, request)
        yield name if _has_changes(calls, where, wanted.stack, name) else None
    except BaseException:
        # It may be there, whatever went wrong; but what went wrong is what must be told.
        with contextlib.suppress(RolloutError):
            _discard(calls, where, wanted.stack, name)
        raise
    _discard(calls, where, wanted.stack, name)


def execute(calls: Calls, where: Where, stack: str, name: str) -> None:
    """Begin to carry a change set out."""
    try:
        calls.ask(
            where, "cloudformation", "ExecuteChangeSet", StackName=stack, ChangeSetName=name, ClientRequestToken=name
        )
    except Refused as refused:
        if "EXECUTE_" not in refused.words:  # its status by now, where only the answer of an attempt was lost
            raise


def changes(calls: Calls, where: Where, stack: str, name: str) -> list[ResourceChange]:
    """What a change set would do."""
    found = calls.pages(where, "cloudformation", "DescribeChangeSet", "Changes", StackName=stack, ChangeSetName=name)
    return [_change(each["ResourceChange"]) for each in found if "ResourceChange" in each]


def _create(calls: Calls, where: Where, request: Mapping[str, Any]) -> None:
    try:
        calls.ask(where, "cloudformation", "CreateChangeSet", **request)
    except Refused as refused:
        if refused.code != "AlreadyExistsException":  # the name is ours alone: only the answer was lost
            raise


def _has_changes(calls: Calls, where: Where, stack: str, name: str) -> bool:
    for pause in stacks.pauses():
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


def _discard(calls: Calls, where: Where, stack: str, name: str) -> None:
    """Delete a change set; one that was executed is gone already, and one in the making must first be made."""
    for pause in stacks.pauses():
        try:
            calls.ask(where, "cloudformation", "DeleteChangeSet", StackName=stack, ChangeSetName=name)
        except NotThere:
            return
        except Refused as refused:
            if refused.code != "InvalidChangeSetStatus":
                if stacks.is_no_stack(refused):
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
