"""Pre-deployment validation: what CloudFormation finds before it makes anything, and DescribeEvents, which tells it.

CreateStack, UpdateStack and CreateChangeSet stop at properties that break the schema of their type and at names that
are taken; the events of the stack say no more than how many errors there are. DisableValidation turns it off. What
CloudFormation only warns of in a change set (quotas, buckets that are not empty, ...) is not looked for.

Sources: CloudFormation user guide, "Validate stack deployments"; API reference, DescribeEvents and OperationEvent. The
reason of a failed change set and the name of its validation: aws/aws-cdk-cli #1000; names and sentences of validations:
aws-cloudformation/rain #744, aws/aws-cdk-cli #1463; a change set's name alone is refused:
aws-cloudformation/cloudformation-cli #1116. How much of a property AWS checks that refers to other resources is not
known; here it is left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ministack.core.responses import get_region, now_iso

from builders import resource_types
from builders.cloud.cloudformation import checks, templates, wire
from builders.cloud.cloudformation.requests import Handler
from builders.cloud.cloudformation.wire import Form, Refused, Response, invalid
from builders.cloud.internals import cloudformation
from builders.cloud.patches import patch
from builders.cloud.server import pages
from builders.resource_types import Json, ResourceType

Error = tuple[str, str, str, str, str]
"""Logical id, type, the name of the validation, the path in the template, and the reason."""

PROPERTY, NAME = "PROPERTY_VALIDATION", "NAME_CONFLICT_VALIDATION"
_CHECK_OF_CHANGE_SET = {
    PROPERTY: "AWS::EarlyValidation::PropertyValidation",
    NAME: "AWS::EarlyValidation::ResourceExistenceCheck",
}
EVENTS = "_operation_events"
"""Key under which a stack or a change set keeps the events of its last operation that failed its validation."""
EVENTS_ON_A_PAGE = 100


@patch(
    "ministack.services.cloudformation.stacks._validation_errors",
    why="before a deployment only a few enumerations and the names of buckets are checked",
)
def _validation_errors(
    original: Any, definitions: Mapping[str, Json], ordered: Iterable[str], *context: Any, **more: Any
) -> list[Error]:
    ordered = list(ordered)
    found: list[Error] = original(definitions, ordered, *context, **more)
    told = {error[0] for error in found}
    return found + [error for error in _errors(definitions, ordered, *context[:5]) if error[0] not in told]


def _errors(
    definitions: Mapping[str, Json],
    ordered: Iterable[str],
    parameters: Json,
    conditions: Mapping[str, bool],
    mappings: Json,
    stack_name: str,
    stack_id: str,
) -> Iterator[Error]:
    stack = cloudformation.stacks.get(stack_name) or {}
    present = {key: each.get("ResourceType") for key, each in (stack.get("_resources") or {}).items()}
    for logical_id in ordered:
        definition = definitions[logical_id]
        kind = resource_types.load(definition.get("Type", ""), get_region())
        # cfn-lint's schema of custom resources knows no booleans, which CloudFormation makes texts of.
        is_custom = str(definition.get("Type")).startswith(("Custom::", "AWS::CloudFormation::CustomResource"))
        if kind is None or is_custom or not templates.is_made(definition, conditions):
            continue
        raw = definition.get("Properties") or {}
        known = _known(raw, definitions, (parameters, conditions, mappings, stack_name, stack_id))
        for where, reason in _violations(kind, known, raw.keys() - known.keys()):
            yield logical_id, kind.name, PROPERTY, f"/Resources/{logical_id}/Properties{where}", reason
        name = known.get(kind.name_property) if kind.name_property else None
        if present.get(logical_id) != kind.name and _is_taken(kind, logical_id, known, stack_name):
            reason = f"Resource of type '{kind.name}' with identifier '{name}' already exists."
            yield logical_id, kind.name, NAME, f"/Resources/{logical_id}", reason


_passed: set[tuple[str, str, str]] = set()
"""Properties that broke nothing: the stacks of a set have most of theirs in common, and a schema takes its time."""
_PASSED = 20_000


def _violations(kind: ResourceType, known: Mapping[str, Json], unknown: Collection[str]) -> list[tuple[str, str]]:
    key = kind.name, str(get_region()), json.dumps([known, sorted(unknown)], sort_keys=True, default=str)
    if key in _passed:
        return []
    found = list(checks.static_violations(kind, known, unknown))
    if not found:
        if len(_passed) >= _PASSED:
            _passed.clear()
        _passed.add(key)
    return found


def _known(raw: Json, definitions: Mapping[str, Json], context: tuple[Any, ...]) -> dict[str, Json]:
    """Return the properties that can be told before anything is made: those that refer to no resource."""
    known: dict[str, Json] = {}
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if any(target in definitions for target, _ in cloudformation.references(value)):
            continue
        try:
            resolved = cloudformation.resolve({name: value}, {}, *context)
        except (ValueError, TypeError, KeyError):
            continue
        # What is called as a function is called stands for the value of that function.
        if isinstance(resolved, dict) and name in resolved and not _made_later(resolved[name]):
            known[name] = resolved[name]
    return known


def _made_later(value: Json) -> bool:
    """Return whether a value has a dynamic reference or a function that is not resolved."""
    if isinstance(value, dict):
        return any(str(key).startswith("Fn::") or _made_later(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(_made_later, value))
    return isinstance(value, str) and "{{resolve:" in value


def _is_taken(kind: ResourceType, logical_id: str, properties: Mapping[str, Json], stack: str) -> bool:
    try:
        checks.check_name_is_free(kind, logical_id, properties, stack)
    except ValueError:
        return True
    return False


def check_change_set(change_set: Json) -> None:
    """Let a change set fail that does not pass, and keep the events of it."""
    template, parameters = change_set["_template"], change_set["_resolved_params"]
    if change_set["_disable_validation"] or change_set["ChangeSetType"] == "IMPORT":
        return
    context = (
        parameters,
        cloudformation.evaluate_conditions(template, parameters),
        template.get("Mappings") or {},
        change_set["StackName"],
        change_set["StackId"],
    )
    found = list(_errors(template["Resources"], template["Resources"], *context))
    if not found:
        return
    names = ", ".join(sorted({_CHECK_OF_CHANGE_SET[error[2]] for error in found}))
    change_set.update(
        Status="FAILED",
        ExecutionStatus="UNAVAILABLE",
        StatusReason=f"The following hook(s)/validation failed: [{names}]. To troubleshoot Early Validation errors, "
        "use the DescribeEvents API for detailed failure information.",
    )
    operation = str(uuid.uuid4())
    change_set[EVENTS] = [_event(change_set["StackId"], operation, error) for error in found]


def _event(stack_id: str, operation: str, error: Error) -> dict[str, Json]:
    logical_id, kind, name, path, reason = error
    return {
        "EventId": str(uuid.uuid4()),
        "StackId": stack_id,
        "OperationId": operation,
        "OperationType": "CREATE_CHANGESET",
        "OperationStatus": "FAILED",
        "EventType": "VALIDATION_ERROR",
        "Timestamp": now_iso(),
        "LogicalResourceId": logical_id,
        "ResourceType": kind,
        "ValidationFailureMode": "FAIL",
        "ValidationName": name,
        "ValidationStatus": "FAILED",
        "ValidationStatusReason": reason,
        "ValidationPath": path,
    }


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DescribeEvents]",
    why="change sets have no events, and a request that names nothing is answered",
)
def _describe_events(_original: Handler, form: Form) -> Response:
    try:
        return _answer(form)
    except Refused as refused:
        return wire.refusal(refused)


def _answer(form: Form) -> Response:
    request = wire.read("DescribeEvents", form)
    events = list(_events_of(request))
    if request.get("OperationId"):
        events = [each for each in events if each["OperationId"] == request["OperationId"]]
    if (request.get("Filters") or {}).get("FailedEvents"):
        events = [each for each in events if each["OperationStatus"] == "FAILED"]
    which = f"DescribeEvents {request.get('StackName')} {request.get('ChangeSetName')} {request.get('OperationId')}"
    shown, token = pages.cut(which, events, request.get("NextToken"), EVENTS_ON_A_PAGE, invalid("Invalid NextToken"))
    members = wire.model().operation_model("DescribeEvents").output_shape.members["OperationEvents"].member.members
    told = [{name: value for name, value in each.items() if name in members and value} for each in shown]
    return wire.answer("DescribeEvents", {"OperationEvents": told, "NextToken": token or None})


def _events_of(request: Mapping[str, Json]) -> Iterator[Json]:
    stack_name, name = request.get("StackName"), request.get("ChangeSetName")
    if name and (stack_name or name.startswith("arn:")):
        _, change_set = cloudformation.find_change_set(name, stack_name or "")
        if change_set is None:
            raise Refused("ChangeSetNotFoundException", f"ChangeSet [{name}] does not exist")
        yield from change_set.get(EVENTS) or []
    elif stack_name:
        stack = cloudformation.find_stack(stack_name)
        if stack is None:
            raise invalid(f"Stack [{stack_name}] does not exist")
        yield from stack.get(EVENTS) or []
    elif request.get("OperationId"):
        for each in [*cloudformation.stacks.values(), *cloudformation.change_sets.values()]:
            yield from each.get(EVENTS) or []
    else:
        raise invalid("One of ChangeSetName, OperationId or StackName must be specified")
