"""Requests on stacks: checked as CloudFormation checks them, before ministack does what they ask.

Each request is held against botocore's model; a template is read and its form checked (forms.py). What is answered
instead is from LocalStack's tests that were run on AWS: api/test_stacks, api/test_update_stack, api/test_changesets,
api/test_templates and api/test_stack_policies; and from the CloudFormation API reference.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from builders.cloud.cloudformation import forms, stack_policies, stacks, templates, updates, wire
from builders.cloud.cloudformation.parsing import Malformed
from builders.cloud.cloudformation.wire import Form, Refused, Request, Response, invalid
from builders.cloud.internals import cloudformation, iam
from builders.cloud.patches import patch, patch_value
from builders.cloud.stacksets import permissions
from builders.policy_documents import trusts_service
from builders.resource_types import Json

Handler = Callable[[Form], Response]

UPDATABLE = frozenset(
    ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE")
)
_OF_TEMPLATES = frozenset(("CreateStack", "UpdateStack", "CreateChangeSet", "ValidateTemplate", "GetTemplateSummary"))
_SHOWN_AGAIN = ("NotificationARNs", "RollbackConfiguration", "RoleARN", "TimeoutInMinutes")
"""Parameters that DescribeStacks returns as they were given."""

_stack_uuid: ContextVar[str] = ContextVar("stack_uuid", default="")

logger = logging.getLogger("requests")


@patch(
    "ministack.services.cloudformation.handlers.new_uuid",
    why="a stack that is in review is made anew by CreateStack; CloudFormation keeps its id",
)
def _new_uuid(original: Callable[[], str]) -> str:
    kept = _stack_uuid.get()
    _stack_uuid.set("")
    return kept or original()


@patch(
    "ministack.services.cloudformation.changesets.new_uuid",
    why="a stack that is in review is made anew by another change set; CloudFormation keeps it",
)
def _new_uuid_of_change_set(original: Callable[[], str]) -> str:
    return _new_uuid(original)


@contextmanager
def same_stack(stack: Json) -> Iterator[None]:
    """Let a stack in review be made again under its id; if it is not, the stack stays as it is."""
    name, stack_id = stack["StackName"], stack["StackId"]
    events = cloudformation.stack_events.get(stack_id, [])
    del cloudformation.stacks[name]
    token = _stack_uuid.set(stack_id.rpartition("/")[2])
    try:
        yield
    finally:
        _stack_uuid.reset(token)
        new = cloudformation.stacks.setdefault(name, stack)
        new["CreationTime"] = stack["CreationTime"]
        later = cloudformation.stack_events.get(stack_id, [])
        cloudformation.stack_events[stack_id] = [*events, *(each for each in later if each not in events)]


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[CreateStack]",
    why="a stack that failed to be created is created anew and one in review is not taken; roles, types, rollback "
    "triggers and policies are not checked, nor shown again",
)
def _create_stack(original: Handler, form: Form) -> Response:
    request = wire.read("CreateStack", form)
    stack = cloudformation.stacks.get(request["StackName"])
    if _repeated(stack, request):
        return wire.answer("CreateStack", {"StackId": stack["StackId"]})
    if stack and stack["StackStatus"] == "ROLLBACK_COMPLETE":
        raise Refused("AlreadyExistsException", f"Stack [{stack['StackName']}] already exists")
    check(request, stack=None)
    _policies(request)
    if stack and stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        with same_stack(stack), acting_with(request.get("RoleARN")):
            answer = original(form)
        if answer[0] < 400:
            for each in cloudformation.change_sets.values():
                if each["StackId"] == stack["StackId"]:
                    each["ExecutionStatus"] = "OBSOLETE"
    else:
        with acting_with(request.get("RoleARN")):
            answer = original(form)
    if answer[0] < 400:
        made = cloudformation.stacks[request["StackName"]]
        made.pop("LastUpdatedTime", None)
        remember(made, request)
    return answer


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[UpdateStack]",
    why="roles, types, rollback triggers and policies are not checked, nor shown again, and a stack that cannot be "
    "updated is refused in other words",
)
def _update_stack(original: Handler, form: Form) -> Response:
    request = wire.read("UpdateStack", form)
    stack = cloudformation.find_stack(request["StackName"])
    if _repeated(stack, request):
        return wire.answer("UpdateStack", {"StackId": stack["StackId"]})
    if stack:
        check_updatable(stack)
        if not {"TemplateBody", "TemplateURL"} & set(request) and not request.get("UsePreviousTemplate"):
            raise invalid("Either Template URL or Template Body must be specified.")
    check(request, stack)
    policies = _policies(request)
    before = (stack or {}).get("_stack_policy", "")
    with acting_with(request.get("RoleARN") or (stack or {}).get("RoleARN")):
        answer = original(form)
    if answer[0] < 400 and stack:
        stack.pop("ChangeSetId", None)
        remember(stack, request)
        after = stack.get("_stack_policy", "")
        stack[updates.POLICY_IN_EFFECT] = policies.get("StackPolicyDuringUpdate", before)
        if "StackPolicyDuringUpdate" in policies:
            stack["_stack_policy"] = policies["StackPolicyDuringUpdate"]
            stack[updates.POLICY_AFTERWARDS] = after
    return answer


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[DeleteStack]",
    why="the role of a deletion is not heeded, and a stack that is protected or imported is refused in other words",
)
def _delete_stack(original: Handler, form: Form) -> Response:
    request = wire.read("DeleteStack", form)
    stack = cloudformation.find_stack(request["StackName"])
    check(request, stack)
    if stack and stack.get("EnableTerminationProtection"):
        raise invalid(f"Stack [{request['StackName']}] cannot be deleted while TerminationProtection is enabled")
    for output in (stack or {}).get("Outputs") or []:
        users = stacks.importers(output["ExportName"], stack["StackId"]) if output.get("ExportName") else []
        if users:
            raise invalid(f"Export {output['ExportName']} cannot be deleted as it is in use by {', '.join(users)}")
    with acting_with(request.get("RoleARN") or (stack or {}).get("RoleARN")):
        return original(form)


def _repeated(stack: Json, request: Request) -> bool:
    """Return whether a request is asked again with the token of the last one (API reference, ClientRequestToken)."""
    return bool(stack and request.get("ClientRequestToken") and stack.get("_token") == request["ClientRequestToken"])


def check_updatable(stack: Mapping[str, Json]) -> None:
    """Refuse a stack that an update cannot begin with."""
    if stack["StackStatus"] not in UPDATABLE:
        raise invalid(f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated.")


def remember(stack: Json, request: Request) -> None:
    """Keep of a request what the stack shows again; a role and a rollback configuration stay until others come."""
    for key in _SHOWN_AGAIN:
        if key in request:
            stack[key] = request[key]
    stack["_token"] = request.get("ClientRequestToken")
    stack["Parameters"] = templates.shown(templates.last_resolved.get())


def check(request: Request, stack: Mapping[str, Json] | None) -> None:
    """Refuse what CloudFormation does of a request that creates or updates a stack, before it looks at the template."""
    if {"TemplateBody", "TemplateURL"} <= set(request):
        raise invalid("You cannot specify both Template URL and Template Body.")
    _check_parameters(request, stack)
    _check_types(request, stack)
    if "RoleARN" in request and not _assumable(request["RoleARN"]):
        raise invalid(f"Role {request['RoleARN']} is invalid or cannot be assumed")
    for trigger in (request.get("RollbackConfiguration") or {}).get("RollbackTriggers") or []:
        if trigger["Type"] not in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
            raise invalid("Rollback Trigger Type not supported")
        if not re.fullmatch(r"arn:[a-z-]+:cloudwatch:[a-z0-9-]+:\d{12}:alarm:.+", trigger["Arn"]):
            raise invalid("RelativeId of a Rollback Trigger's ARN is incorrect")


def _check_parameters(request: Request, stack: Mapping[str, Json] | None) -> None:
    previous = (stack or {}).get("_resolved_params") or {}
    for each in request.get("Parameters") or []:
        if not each.get("UsePreviousValue"):
            continue
        refusal = (
            f"Invalid input for parameter key {each.get('ParameterKey')}. Cannot specify usePreviousValue as true "
        )
        if each.get("ParameterValue"):
            raise invalid(f"{refusal}and non empty value for a parameter")
        if each.get("ParameterKey") not in previous:
            raise invalid(f"{refusal}for a parameter key not in the previous template")


def _check_types(request: Request, stack: Mapping[str, Json] | None) -> None:
    allowed = request.get("ResourceTypes")
    if not allowed:
        return
    template = forms.current() or (stack or {}).get("_template") or {}
    for resource in template.get("Resources", {}).values():
        kind = str(resource.get("Type")) if isinstance(resource, dict) else ""
        kinds = (kind, "Custom::*" if kind == "AWS::CloudFormation::CustomResource" else kind)
        if not any(fnmatch.fnmatchcase(each, pattern) for each in kinds for pattern in allowed):
            raise invalid(f"Resource type {kind} is not allowed by parameter ResourceTypes [{', '.join(allowed)}]")


def _assumable(arn: str) -> bool:
    """Return whether a role of the account trusts CloudFormation."""
    role = _role(arn)
    known = iam.roles.get(role.name)
    return bool(known and known["Arn"] == arn) and trusts_service(role.trust, "cloudformation.amazonaws.com")


def _role(arn: str) -> permissions.Role:
    return permissions.Role(arn.split(":")[4] if arn.count(":") >= 5 else "", arn.rpartition("/")[2])


@contextmanager
def acting_with(arn: str | None) -> Iterator[None]:
    """Let a stack's tasks have the permissions of its role, if it has one; else those of whoever asks."""
    token = permissions.acting.set(_role(arn)) if arn else None
    try:
        yield
    finally:
        if token:
            permissions.acting.reset(token)


def _policies(request: Request) -> dict[str, str]:
    """Return the stack policies of a request by the beginning of their member's name. Raises `Refused`."""
    found = {}
    for name in ("StackPolicy", "StackPolicyDuringUpdate"):
        body, url = f"{name}Body", f"{name}URL"
        if body in request and url in request:
            raise invalid(f"You cannot specify both {url} and {body}")
        given = {key: [request[key]] for key in (body, url) if key in request}
        text, problem = cloudformation.read_document(given, body, url, "Stack policy")
        if problem:
            raise invalid(wire.message(problem))
        if text:
            try:
                stack_policies.parse(text)
            except ValueError as error:
                raise invalid(str(error)) from error
            found[name] = text
    return found


@patch(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS[SetStackPolicy]",
    why="any JSON is taken for a stack policy",
)
def _set_stack_policy(original: Handler, form: Form) -> Response:
    _policies(wire.read("SetStackPolicy", form))
    return original(form)


@patch_value(
    "ministack.services.cloudformation.handlers._ACTION_HANDLERS",
    why="members of requests are not held against the API's bounds, and a template of a wrong form ends in an internal "
    "error or in a stack that stays in progress for ever",
)
def _checked_actions(original: dict[str, Handler]) -> dict[str, Handler]:
    return {operation: _checked(operation, handler) for operation, handler in original.items()}


def _checked(operation: str, inner: Handler) -> Handler:
    def handle(form: Form) -> Response:
        try:
            with wire.already_read(operation, form), _template_read(operation, form):
                return inner(form)
        except Refused as refused:
            return wire.refusal(refused)
        except Malformed as malformed:
            return wire.refusal(invalid(str(malformed)))
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            if operation not in _OF_TEMPLATES:
                raise
            logger.exception("%s does not understand its template", operation)
            return wire.refusal(invalid(f"Template format error: the embedded cloud cannot read this: {error!r}"))

    return handle


@contextmanager
def _template_read(operation: str, form: Form) -> Iterator[None]:
    """Check the template that a request brings, which ministack then does not read again."""
    name = form.get("StackName", [""])[0]
    valid_name = operation != "CreateStack" or re.fullmatch("[a-zA-Z][-a-zA-Z0-9]{0,127}", name)
    if operation not in _OF_TEMPLATES or not valid_name:
        yield
        return
    body, problem = cloudformation.read_template(form)
    if problem or not body:
        yield
        return
    with forms.already_read(body, forms.read(body)):
        yield
