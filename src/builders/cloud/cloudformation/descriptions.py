"""Answers about stacks: everything that was given is shown again, and a deleted stack answers by its id alone.

Sources: LocalStack's tests that were run on AWS, api/test_stacks, api/test_templates and api/test_resources; API
reference, Stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from builders.cloud.cloudformation import templates, updates, wire
from builders.cloud.cloudformation.requests import Handler
from builders.cloud.cloudformation.wire import Answer, Form, Response, invalid
from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch
from builders.cloud.server import pages
from builders.resource_types import Json

STACKS_ON_A_PAGE = 100
_NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that no XML document may have (W3C, "Extensible Markup Language 1.0", Char)."""
_DELETED = "DELETE_COMPLETE"
_DRIFT = ("StackDriftStatus", "LastCheckTimestamp")


@patch(
    "ministack.services.cloudformation.helpers._xml",
    why="an answer may have characters that XML does not have, and then no client can read it",
)
def _xml(original: Callable[[int, str, str], Response], status: int, root: str, inner: str) -> Response:
    return original(status, root, _NOT_IN_XML.sub("?", inner))


@patch(
    "ministack.services.cloudformation.helpers._error",
    why="an error may quote characters that XML does not have, and then no client can read it",
)
def _error(original: Callable[..., Response], code: str, message: str, status: int = 400) -> Response:
    return original(code, _NOT_IN_XML.sub("?", message), status)


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DescribeStacks]",
    why="change set, role, time limit, topics, rollback configuration, resolved values, parents and the time of the "
    "deletion are not shown, and a description that is no text fails the answer for the whole account",
)
def _describe_stacks(_original: Handler, form: Form) -> Response:
    request = wire.read("DescribeStacks", form)
    name = request.get("StackName")
    if name:
        stack = cloudformation.find_stack(name)
        if stack is None:
            raise invalid(f"Stack with id {name} does not exist")
        return wire.answer("DescribeStacks", {"Stacks": [_described(stack)]})
    stacks = [each for each in cloudformation.stacks.values() if each["StackStatus"] != _DELETED]
    refusal = invalid("NextToken is invalid")
    shown, token = pages.cut("stacks", stacks, request.get("NextToken"), STACKS_ON_A_PAGE, refusal)
    return wire.answer("DescribeStacks", {"Stacks": list(map(_described, shown)), "NextToken": token or None})


def _described(stack: Mapping[str, Json]) -> Answer:
    deleted = stack["StackStatus"] == _DELETED
    drift = stack.get("DriftInformation") or {"StackDriftStatus": "NOT_CHECKED"}
    optional = (
        *("Description", "LastUpdatedTime", "DeletionTime", "TimeoutInMinutes", "RoleARN"),
        *("ParentId", "RootId", "DeletionMode", "ChangeSetId"),
    )
    return {
        **{key: stack[key] for key in ("StackId", "StackName", "StackStatus", "CreationTime")},
        **{key: stack[key] for key in optional if stack.get(key) and not (deleted and key == "ChangeSetId")},
        "StackStatusReason": updates.full_reason(stack.get("StackStatusReason") or "") or None,
        "Parameters": [templates.hidden(each) for each in stack.get("Parameters") or []] or None,
        "Outputs": list(map(_output, stack.get("Outputs") or [])) or None,
        "RollbackConfiguration": stack.get("RollbackConfiguration", {}),
        "NotificationARNs": stack.get("NotificationARNs", []),
        "Capabilities": stack.get("Capabilities") or None,
        "DisableRollback": bool(stack.get("DisableRollback")),
        "EnableTerminationProtection": None if deleted else bool(stack.get("EnableTerminationProtection")),
        "Tags": [{"Key": each["Key"], "Value": each["Value"]} for each in stack.get("Tags") or []],
        "DriftInformation": {key: drift[key] for key in _DRIFT if drift.get(key)},
    }


def _output(output: Mapping[str, Json]) -> Json:
    keys = ("OutputKey", "OutputValue", "Description", "ExportName")
    return {key: output[key] for key in keys if output.get(key) not in (None, "") or key == "OutputValue"}


def _existing(form: Form, sentence: str) -> None:
    """Refuse a stack that is not there; a deleted one is there under its id."""
    name = form.get("StackName", [""])[0]
    if name and cloudformation.find_stack(name) is None:
        raise invalid(sentence.format(name))


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[GetTemplate]",
    why="a stack that is not there is refused in other words than CloudFormation's",
)
def _get_template(original: Handler, form: Form) -> Response:
    change_set = form.get("ChangeSetName", [""])[0]
    if change_set and not change_set.startswith("arn:") and "StackName" not in form:
        raise invalid("StackName is a required parameter.")
    _existing(form, "Stack with id {} does not exist")
    return original(form)


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[ListStackResources]",
    why="a stack that is not there is refused in other words than CloudFormation's",
)
def _list_stack_resources(original: Handler, form: Form) -> Response:
    _existing(form, "Stack with id {} does not exist")
    return original(form)


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DescribeStackResources]",
    why="a stack or resource that is not there is refused in other words, and one is not found by its physical id",
)
def _describe_stack_resources(original: Handler, form: Form) -> Response:
    physical_id = form.get("PhysicalResourceId", [""])[0]
    if physical_id and "StackName" not in form:
        owner = next(
            (
                stack["StackId"]
                for stack in cloudformation.stacks.values()
                if any(each.get("PhysicalResourceId") == physical_id for each in stack.get("_resources", {}).values())
            ),
            None,
        )
        if owner is None:
            raise invalid(f"Stack for {physical_id} does not exist")
        return original({**form, "StackName": [owner]})
    _existing(form, "Stack with id {} does not exist")
    _existing_resource(form)
    return original(form)


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DescribeStackResource]",
    why="a stack or resource that is not there is refused in other words than CloudFormation's",
)
def _describe_stack_resource(original: Handler, form: Form) -> Response:
    _existing(form, "Stack '{}' does not exist")
    _existing_resource(form)
    return original(form)


def _existing_resource(form: Form) -> None:
    name, logical_id = (form.get(key, [""])[0] for key in ("StackName", "LogicalResourceId"))
    stack = cloudformation.find_stack(name)
    if stack and logical_id and logical_id not in stack.get("_resources", {}):
        raise invalid(f"Resource {logical_id} does not exist for stack {name}")


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[GetTemplateSummary]",
    why="a stack in review, whose template is not in effect, is refused as if none was named",
)
def _get_template_summary(original: Handler, form: Form) -> Response:
    stack = cloudformation.find_stack(form.get("StackName", [""])[0])
    if stack and stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        raise invalid("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
    return original(form)
