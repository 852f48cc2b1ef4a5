"""CreateStackSet, DescribeStackSet, ListStackSets, UpdateStackSet, DeleteStackSet; organizations access."""

from __future__ import annotations

import re

from ministack.core.responses import get_account_id, get_region

from builders import naming
from builders.cloud.cloudformation.wire import (
    Answer,
    Refused,
    Request,
    impossible,
    invalid,
    limit,
    name_taken,
    not_empty,
)
from builders.cloud.organizations import membership
from builders.cloud.stacksets import callers, imports, permissions, queue, targets, templates, views
from builders.cloud.stacksets.model import Instance, Key, Operation, StackSet, settings

_NAME = r"[a-zA-Z][-a-zA-Z0-9]{0,127}"
_NO_TEMPLATE = "Either Template URL or Template Body must be specified."


def create(request: Request) -> Answer:
    """Make a set without instances; the same request with the same ClientRequestToken makes it once."""
    account = callers.administrator(request)
    for other in callers.visible(request):
        if other.status == "ACTIVE" and other.name == request["StackSetName"]:
            if other.creation == request:
                return {"StackSetId": other.id}
            raise name_taken(other.name)
    _check_new(request, account)
    read = imports.template_of(request, account) if "StackId" in request else templates.read(request)
    if read is None:
        raise invalid(_NO_TEMPLATE)
    body, template = read
    service_managed = request.get("PermissionModel") == "SERVICE_MANAGED"
    templates.check(template, service_managed, request, {})
    new = StackSet(
        name=request["StackSetName"],
        account=account,
        region=get_region(),
        template_body=body,
        template=template,
        parameters=templates.set_parameters(template, request.get("Parameters") or [], {}),
        capabilities=request.get("Capabilities") or [],
        tags=request.get("Tags") or [],
        description=request.get("Description", ""),
        permission_model=request.get("PermissionModel", "SELF_MANAGED"),
        auto_deployment=request.get("AutoDeployment"),
        managed_execution=bool((request.get("ManagedExecution") or {}).get("Active")),
        creation=request,
    )
    default = permissions.Role(account, naming.DEFAULT_ADMINISTRATION_ROLE).arn
    new.administration_role_arn = request.get("AdministrationRoleARN", default)
    new.execution_role_name = request.get("ExecutionRoleName", new.execution_role_name)
    callers.add(new)
    return {"StackSetId": new.id}


def _check_new(request: Request, account: str) -> None:
    name = request["StackSetName"]
    if not re.fullmatch(_NAME, name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackSetName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    if request.get("PermissionModel") == "SERVICE_MANAGED":
        callers.require_organization(request)
        if not request.get("AutoDeployment"):
            raise invalid("AutoDeployment must be specified for SERVICE_MANAGED permission model")
    elif request.get("AutoDeployment"):
        raise invalid("AutoDeployment is only valid for SERVICE_MANAGED permission model")
    elif request.get("CallAs") == "DELEGATED_ADMIN":
        raise invalid("CallAs DELEGATED_ADMIN is only valid for SERVICE_MANAGED permission model")
    quota = settings(account).stack_sets
    if sum(each.status == "ACTIVE" for each in callers.owned(account)) >= quota:
        raise limit(f"You have reached the limit of {quota} stack sets")


def describe(request: Request) -> Answer:
    """Show a set, a deleted one by its id."""
    return {"StackSet": views.stack_set(callers.find(request, deleted=True))}


def list_sets(request: Request) -> Answer:
    """List sets by name; without Status those of any."""
    status = request.get("Status")
    found = [each for each in callers.visible(request) if each.status == (status or each.status)]
    return views.page(request, "ListStackSets", found, lambda each: [each.name, each.uuid], views.stack_set_summary)


def delete(request: Request) -> Answer:
    """Delete an empty set; one that is not there is deleted (LocalStack, resources/test_stack_sets, run on AWS)."""
    try:
        stack_set = callers.find(request)
    except Refused as refused:
        if refused.name != "StackSetNotFoundException":
            raise
        return {}
    queue.require_idle(stack_set)
    if stack_set.instances:
        raise not_empty()
    stack_set.status = "DELETED"
    return {}


def update(request: Request) -> Answer:
    """Change a set, whatever becomes of the operation, then bring it to the named instances or to all."""
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "UPDATE")
    if again:
        return again
    if not stack_set.managed_execution or "ManagedExecution" in request:  # which is not changed while operations run
        queue.require_idle(stack_set)
    keys = _named(stack_set, request)
    new = templates.read(request)
    if new is None and not request.get("UsePreviousTemplate"):
        raise invalid(_NO_TEMPLATE)
    model = request.get("PermissionModel", stack_set.permission_model)
    if model != stack_set.permission_model and stack_set.instances:
        raise invalid("PermissionModel cannot be modified while there are stack instances in the stack set")
    _, template = new or ("", stack_set.template)
    templates.check(template, model == "SERVICE_MANAGED", request, stack_set.parameters)
    named = None if keys is None else dict.fromkeys(keys, "")
    return queue.submit(stack_set, request, "UPDATE", named, _begin_set_update, whole=True, template=new)


@queue.beginning
def _begin_set_update(stack_set: StackSet, operation: Operation) -> list[Instance]:
    before = stack_set.template, stack_set.parameters
    _store(stack_set, operation.request, operation.template)
    brought = operation.template is not None or "Parameters" in operation.request
    if settings(stack_set.account).same_template_leaves_status:
        brought = before != (stack_set.template, stack_set.parameters)
    if brought:
        for instance in stack_set.instances.values():
            if instance.status != "INOPERABLE":  # excluded from further updates
                instance.status, instance.detailed = "OUTDATED", "PENDING"
    chosen = stack_set.instances if operation.targets is None else operation.targets
    working = [each for each in targets.present(stack_set, chosen) if each.status != "INOPERABLE"]
    for instance in working:
        instance.wait(operation.id)
    return working


def _named(stack_set: StackSet, request: Request) -> list[Key] | None:
    """Return the instances that an update names, all there; None when it names none."""
    accounts, regions = targets.named(stack_set, request), request.get("Regions")
    if accounts is None and not regions:
        return None
    if accounts is None or not regions:
        raise invalid("Accounts or DeploymentTargets, and Regions, must be specified together, or none of them")
    if "AutoDeployment" in request:
        raise invalid("If you specify AutoDeployment, don't specify DeploymentTargets or Regions")
    named = targets.keys(accounts, regions)
    if stack_set.service_managed:
        return [key for key in named if key in stack_set.instances]
    return [each.key for each in targets.required(stack_set, named)]


def _store(stack_set: StackSet, request: Request, new: tuple[str, templates.Template] | None) -> None:
    """Put what an update brings into the set. Parameters that it leaves out fall back to the template's defaults."""
    if new is not None:
        stack_set.template_body, stack_set.template = new
    given = request.get("Parameters") or []
    stack_set.parameters = templates.set_parameters(stack_set.template, given, stack_set.parameters)
    stack_set.capabilities = request.get("Capabilities", [])
    stack_set.tags = request.get("Tags", stack_set.tags)
    stack_set.description = request.get("Description", stack_set.description)
    stack_set.permission_model = request.get("PermissionModel", stack_set.permission_model)
    stack_set.auto_deployment = request.get("AutoDeployment", stack_set.auto_deployment)
    stack_set.administration_role_arn = request.get("AdministrationRoleARN", stack_set.administration_role_arn)
    stack_set.execution_role_name = request.get("ExecutionRoleName", stack_set.execution_role_name)
    if "ManagedExecution" in request:
        stack_set.managed_execution = bool(request["ManagedExecution"].get("Active"))


def activate_access(_request: Request) -> Answer:
    """Let StackSets act in the caller's organization."""
    membership.trust(_management(), callers.SERVICE, True)
    return {}


def deactivate_access(_request: Request) -> Answer:
    """Take that back."""
    membership.trust(_management(), callers.SERVICE, False)
    return {}


def describe_access(request: Request) -> Answer:
    """Show whether StackSets may act in the organization."""
    try:
        account = callers.administrator(request)
    except Refused as refused:
        raise impossible(str(refused)) from refused
    return {"Status": "ENABLED" if membership.trusts(account, callers.SERVICE) else "DISABLED"}


def _management() -> str:
    account = get_account_id()
    if membership.management_of(account) != account:
        raise impossible("You must be the management account of an organization to change its access")
    return str(account)


def list_targets(request: Request) -> Answer:
    """List the units that a set deploys to, and the regions there."""
    stack_set = callers.find(request)
    which = f"ListStackSetAutoDeploymentTargets {stack_set.id}"
    return views.page(
        request,
        which,
        stack_set.units.items(),
        lambda each: each[0],
        lambda each: {"OrganizationalUnitId": each[0], "Regions": each[1]},
    )
