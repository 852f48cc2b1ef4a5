"""Change sets: what they list, when they are taken, and what is left of them when they were executed.

Sources: CloudFormation API reference, CreateChangeSet and DescribeChangeSet; LocalStack's tests that were run on AWS:
api/test_changesets, test_change_set_conditions, test_change_set_parameters, engine/test_conditions.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from ministack.core.responses import AccountRegionScopedDict

from builders.cloud.cloudformation import early_validation, requests, templates, updates, wire
from builders.cloud.cloudformation.requests import Handler
from builders.cloud.cloudformation.wire import Answer, Form, Refused, Request, Response, invalid
from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch
from builders.cloud.server import pages
from builders.resource_types import Json

CHANGES_ON_A_PAGE = 100
"""The API reference names a NextToken and no size."""
EXECUTED = 100
"""Number of executed change sets of an account and region that are remembered; AWS names no number."""
KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""Stands for a value that only the execution makes (recorded by LocalStack, test_change_set_fn_get_attr)."""

executed: Any = AccountRegionScopedDict()
"""{change set id: change set} of those that were executed: found by their ARN alone, and not listed."""


@patch(
    "ministack.services.cloudformation.changesets._resolve_props_for_diff",
    why="a change set takes no notice of conditions: what one switches off is listed, what one switches on is not; and "
    "parameters in Metadata change nothing",
)
def _resources_to_compare(
    original: Any, template: Mapping[str, Json], parameters: Json, name: str, stack_id: str
) -> Json:
    resolved = original(template, parameters, name, stack_id)
    conditions = cloudformation.evaluate_conditions(template, parameters) if template else {}
    resources = {
        logical_id: dict(resource)
        for logical_id, resource in (resolved.get("Resources") or {}).items()
        if templates.is_made(resource, conditions)
    }
    context = (parameters, conditions, template.get("Mappings") or {}, name, stack_id) if template else ()
    for resource in resources.values():
        if "Metadata" in resource:
            resource["Metadata"] = _resolved(resource["Metadata"], {}, *context)
    return {**resolved, "Resources": resources}


def _resolved(value: Json, *context: Json) -> Json:
    """Return a value resolved; one that cannot be yet stays as it is."""
    try:
        return cloudformation.resolve(copy.deepcopy(value), *context)
    except ValueError:
        return value


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[CreateChangeSet]",
    why="stacks in any state are taken, macros that are not there are left out, a stack without resources is refused, "
    "and roles, types, rollback triggers and kept parameters are not checked",
)
def _create_change_set(original: Handler, form: Form) -> Response:
    request = wire.read("CreateChangeSet", form)
    given, kind = request["StackName"], request.get("ChangeSetType", "UPDATE")
    stack = cloudformation.find_stack(given)
    in_review = stack is not None and stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    for each in cloudformation.change_sets.values() if stack and request.get("ClientToken") else ():
        same = each["StackId"] == stack["StackId"] and each["ChangeSetName"] == request["ChangeSetName"]
        if same and each["_request"].get("ClientToken") == request["ClientToken"]:
            return wire.answer("CreateChangeSet", {"Id": each["ChangeSetId"], "StackId": each["StackId"]})
    if stack is not None and kind == "CREATE" and not in_review:
        raise invalid(
            f"Stack [{given}] already exists and cannot be created again with the changeSet "
            f"[{request['ChangeSetName']}]."
        )
    if stack is not None and kind == "UPDATE":
        requests.check_updatable(stack)
    if kind == "CREATE" and any(each.get("UsePreviousValue") for each in request.get("Parameters") or []):
        raise invalid("Cannot specify UsePreviousValue on Parameters when ChangeSetType is CREATE")
    requests.check(request, stack)
    with ExitStack() as kept:
        if stack is not None:
            form = {**form, "StackName": [stack["StackName"]]}
        if stack is not None and in_review and kind == "CREATE":
            kept.enter_context(requests.same_stack(stack))
        answer = original(form)
    if answer[0] < 400:
        _complete(_newest(form), request)
    return answer


def _newest(form: Form) -> Json:
    """Return the change set that was just made."""
    return list(cloudformation.change_sets.values())[-1]


def _complete(change_set: Json, request: Request) -> None:
    """Let a new change set show what was asked, and refuse its execution where a macro is not there."""
    stack = cloudformation.stacks[change_set["StackName"]]
    stack.pop("LastUpdatedTime", None) if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else None
    stack["StackStatusReason"] = "User Initiated" if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else ""
    change_set["_request"] = {
        key: request[key]
        for key in ("NotificationARNs", "RollbackConfiguration", "RoleARN", "IncludeNestedStacks", "ClientToken")
        if key in request
    }
    change_set["Parameters"] = templates.shown(change_set["_resolved_params"])
    before = stack.get("_resolved_params") or {}
    changed = {name for name, each in change_set["_resolved_params"].items() if each != before.get(name)}
    for change in change_set["Changes"]:
        details = change["ResourceChange"].get("Details", [])
        resource = change_set["_template"]["Resources"].get(change["ResourceChange"]["LogicalResourceId"], {})
        details += _causes_in_metadata(details, resource, changed)
        details.sort(key=lambda detail: ("ChangeSource" in detail) + ("CausingEntity" not in detail))
    reason = updates.missing_macro(change_set["_template"])
    if reason:
        change_set.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=reason, Changes=[])
    elif not change_set["Changes"] and change_set["Status"] == "FAILED" and _changes_without_resources(change_set):
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
    if change_set["ExecutionStatus"] == "AVAILABLE":
        early_validation.check_change_set(change_set)


def _causes_in_metadata(details: list[Json], resource: Mapping[str, Json], changed: set[str]) -> list[Json]:
    """Return the parameters that change a resource's Metadata, which is dynamic then (LocalStack, api/test_stacks)."""
    found = [each for each in details if each["Target"]["Attribute"] == "Metadata"]
    names = sorted({name for name, _ in cloudformation.references(resource.get("Metadata"))} & changed)
    for each in found if names else ():
        each["Evaluation"] = "Dynamic"
    return [
        {**each, "Evaluation": "Static", "ChangeSource": "ParameterReference", "CausingEntity": name}
        for each in found
        for name in names
    ]


def _changes_without_resources(change_set: Mapping[str, Json]) -> bool:
    """Return whether a change set that lists nothing can be executed: a creation, or a change of outputs alone.

    Source for outputs: jenkinsci/pipeline-aws-plugin #210.
    """
    stack = cloudformation.stacks[change_set["StackName"]]
    if change_set["ChangeSetType"] != "UPDATE":
        return bool(change_set["ChangeSetType"] == "CREATE")
    before, after = (
        _outputs(stack, each.get("_template") or {}, each.get("_resolved_params") or {}) for each in (stack, change_set)
    )
    return bool(before != after)


def _outputs(stack: Mapping[str, Json], template: Mapping[str, Json], parameters: Mapping[str, Json]) -> Json:
    conditions = cloudformation.evaluate_conditions(template, parameters)
    context = (parameters, conditions, template.get("Mappings") or {}, stack["StackName"], stack["StackId"])
    return {
        name: _resolved(output, stack.get("_resources", {}), *context)
        for name, output in (template.get("Outputs") or {}).items()
        if templates.is_made(output, conditions)
    }


@patch(
    "ministack.services.cloudformation.changesets._find_change_set",
    why="a change set is not found by its name beside the ARN of its stack, nor by its own once it was executed",
)
def _find_change_set(original: Any, name: str, stack: str = "") -> Json:
    found = cloudformation.find_stack(stack) if stack else None
    if name in executed:
        return name, executed[name]
    owner = found["StackId"] if found else ""
    for change_set_id, each in executed.items():
        in_progress = each["ExecutionStatus"] == "EXECUTE_IN_PROGRESS"
        if in_progress and (each["ChangeSetName"], each["StackId"]) == (name, owner):
            return change_set_id, each
    return original(name, found["StackName"] if found else stack)


def _asked(request: Request) -> Json:
    """Return the change set that a request names. Raises `Refused`."""
    name, stack = request["ChangeSetName"], request.get("StackName", "")
    if not name.startswith("arn:") and not stack:
        raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
    if stack and cloudformation.find_stack(stack) is None:
        raise invalid(f"Stack [{stack}] does not exist")
    _, change_set = cloudformation.find_change_set(name, stack)
    if change_set is None:
        raise Refused("ChangeSetNotFoundException", f"ChangeSet [{name}] does not exist")
    return change_set


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[ExecuteChangeSet]",
    why="an executed change set keeps its name and is listed, and what a stack shows of it is missing",
)
def _execute_change_set(original: Handler, form: Form) -> Response:
    request = wire.read("ExecuteChangeSet", form)
    if _repeated(request):
        return wire.answer("ExecuteChangeSet", {})
    change_set = _asked(request)
    change_set_id, status = change_set["ChangeSetId"], change_set["ExecutionStatus"]
    if status != "AVAILABLE":
        what = f"status of [{change_set['Status']}]"
        if change_set["Status"] == "CREATE_COMPLETE":
            what = f"execution status of [{status}]"
        raise Refused(
            "InvalidChangeSetStatusException", f"ChangeSet [{change_set_id}] cannot be executed in its current {what}"
        )
    role = change_set["_request"].get("RoleARN") or cloudformation.stacks[change_set["StackName"]].get("RoleARN")
    with requests.acting_with(role):
        answer = original({**form, "ChangeSetName": [change_set_id], "StackName": [change_set["StackName"]]})
    if answer[0] < 400:
        del cloudformation.change_sets[change_set_id]
        executed[change_set_id] = change_set
        change_set["_token"] = request.get("ClientRequestToken")
        for each in list(executed)[:-EXECUTED]:
            del executed[each]
        stack = cloudformation.stacks[change_set["StackName"]]
        stack["ChangeSetId"] = change_set_id
        stack["StackStatusReason"] = ""
        asked = change_set["_request"]
        stack.update(
            {key: asked[key] for key in ("NotificationARNs", "RollbackConfiguration", "RoleARN") if key in asked}
        )
        stack["Parameters"] = change_set["Parameters"]
        stack["Description"] = change_set["_template"].get("Description", "")
    return answer


def _repeated(request: Request) -> bool:
    """Return whether an execution is asked again with its token (API reference, ExecuteChangeSet)."""
    token, name = request.get("ClientRequestToken"), request["ChangeSetName"]
    stack = cloudformation.find_stack(request.get("StackName", ""))
    return any(
        token and each["_token"] == token and (name == key or (stack and each["StackId"] == stack["StackId"]))
        for key, each in executed.items()
    )


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DeleteChangeSet]",
    why="a change set of no stack is deleted without a word",
)
def _delete_change_set(original: Handler, form: Form) -> Response:
    request = wire.read("DeleteChangeSet", form)
    try:
        _asked(request)
    except Refused as refused:
        if refused.name != "ChangeSetNotFoundException":
            raise
    return original(form)


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[ListChangeSets]",
    why="the change sets of a stack that is not there, or is named by its ARN, are an empty list",
)
def _list_change_sets(original: Handler, form: Form) -> Response:
    name = wire.read("ListChangeSets", form)["StackName"]
    stack = cloudformation.find_stack(name)
    if stack is None:
        raise invalid(f"Stack [{name}] does not exist")
    return original({**form, "StackName": [stack["StackName"]]})


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DescribeChangeSet]",
    why="all changes are on one page, the values of NoEcho parameters are shown, resolved values, property values and "
    "what was given are not",
)
def _describe_change_set(_original: Handler, form: Form) -> Response:
    request = wire.read("DescribeChangeSet", form)
    change_set = _asked(request)
    changes, which = change_set.get("Changes") or [], change_set["ChangeSetId"]
    refusal = invalid("NextToken is invalid")
    shown, token = pages.cut(which, changes, request.get("NextToken"), CHANGES_ON_A_PAGE, refusal)
    if request.get("IncludePropertyValues") and change_set["ExecutionStatus"] == "AVAILABLE":
        shown = list(_with_values(change_set, shown))
    kept = ("ChangeSetName", "ChangeSetId", "StackId", "StackName", "CreationTime", "ExecutionStatus", "Status")
    optional = ("Description", "StatusReason", "OnStackFailure", "ImportExistingResources")
    described: Answer = {
        **{key: change_set[key] for key in kept},
        **{key: change_set[key] for key in optional if change_set.get(key)},
        "Parameters": change_set.get("Parameters") and [templates.hidden(each) for each in change_set["Parameters"]],
        "NotificationARNs": change_set["_request"].get("NotificationARNs", []),
        "RollbackConfiguration": change_set["_request"].get("RollbackConfiguration", {}),
        "IncludeNestedStacks": change_set["_request"].get("IncludeNestedStacks", False),
        "Capabilities": change_set.get("Capabilities", []),
        "Tags": [{"Key": each["Key"], "Value": each["Value"]} for each in change_set.get("Tags") or []] or None,
        "Changes": [{"Type": "Resource", **each} for each in map(_whole, shown)],
        "NextToken": token or None,
    }
    return wire.answer("DescribeChangeSet", described)


def _whole(change: Mapping[str, Json]) -> Json:
    """Return a change with the members that CloudFormation always writes."""
    return {"ResourceChange": {"Scope": [], "Details": [], **change["ResourceChange"]}}


def _with_values(change_set: Mapping[str, Json], changes: list[Json]) -> Iterator[Json]:
    """Yield changes with the properties of their resources before and after."""
    stack = cloudformation.stacks[change_set["StackName"]]
    before = _properties(stack, stack.get("_template") or {}, stack.get("_resolved_params") or {}, set())
    made = {
        each["ResourceChange"]["LogicalResourceId"]
        for each in change_set["Changes"]
        if each["ResourceChange"]["Action"] == "Add" or each["ResourceChange"].get("Replacement") == "True"
    }
    after = _properties(stack, change_set["_template"], change_set["_resolved_params"], made)
    for each in changes:
        change = copy.deepcopy(each["ResourceChange"])
        logical_id, action = change["LogicalResourceId"], change["Action"]
        sides = {
            "BeforeContext": before.get(logical_id) if action != "Add" else None,
            "AfterContext": after.get(logical_id) if action != "Remove" else None,
        }
        change |= {
            name: json.dumps({"Properties": properties}, separators=(",", ":"))
            for name, properties in sides.items()
            if properties is not None
        }
        for detail in change.get("Details", []):
            target = detail["Target"]
            if target.get("Attribute") == "Properties":
                target |= _values_of(target["Name"], before.get(logical_id) or {}, after.get(logical_id) or {})
        yield {"ResourceChange": change}


def _values_of(name: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, str]:
    """Return what a target says of the value of a property."""
    found = {"Path": f"/Properties/{name}"}
    for key, properties in (("BeforeValue", before), ("AfterValue", after)):
        if name in properties:
            value = properties[name]
            found[key] = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    kind = "Modify" if name in before and name in after else "Add" if name in after else "Remove"
    return {**found, "AttributeChangeType": kind}


def _properties(
    stack: Mapping[str, Json], template: Mapping[str, Json], parameters: Mapping[str, Json], unknown: set[str]
) -> dict[str, Json]:
    """Return the properties of a template's resources; what is hidden or not known yet is marked."""
    conditions = cloudformation.evaluate_conditions(template, parameters)
    visible = {
        name: {**each, "Value": templates.HIDDEN} if each["NoEcho"] else each for name, each in parameters.items()
    }
    known = {name: each for name, each in stack.get("_resources", {}).items() if name not in unknown}
    names = set(template.get("Resources") or {}) - set(known)
    found = {}
    for name, resource in (template.get("Resources") or {}).items():
        if not templates.is_made(resource, conditions):
            continue
        context = (known, visible, conditions, template.get("Mappings") or {}, stack["StackName"], stack["StackId"])
        properties = _marked(resource.get("Properties") or {}, names)
        try:
            found[name] = cloudformation.resolve(properties, *context)
        except ValueError:  # an export that is not there, say, which the execution reports
            found[name] = dict.fromkeys(properties, KNOWN_AFTER_APPLY)
    return found


def _marked(node: Json, unknown: set[str]) -> Json:
    """Return a value in which references to what is not made yet are marked."""
    if isinstance(node, list):
        return [_marked(each, unknown) for each in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1 and "Fn::If" not in node:
        name = next(iter(node))
        referred = {each for each, _ in cloudformation.references(node)} & unknown
        if referred and name in ("Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::Base64"):
            return KNOWN_AFTER_APPLY
    return {key: _marked(value, unknown) for key, value in node.items()}
