"""CreateStackInstances, UpdateStackInstances, DeleteStackInstances, DescribeStackInstance, ListStackInstances."""

from __future__ import annotations

from collections.abc import Callable

from cfnlint.helpers import REGIONS

from builders.cloud.cloudformation.wire import Answer, Request, invalid, limit, no_instance
from builders.cloud.stacksets import callers, queue, targets, templates, views
from builders.cloud.stacksets.model import Instance, Key, Operation, StackSet, settings
from builders.cloud.stacksets.targets import Account


def create(request: Request) -> Answer:
    """Make instances, and try again those that are there and OUTDATED.

    An instance that is there and CURRENT is left out, whatever overrides are given (API reference, OperationId;
    getmoto/moto #10171 on AWS itself).
    """
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "CREATE")
    if again:
        return again
    keys = _named_keys(stack_set, request, creating=True)
    templates.check_overrides(stack_set, request.get("ParameterOverrides"), targets.present(stack_set, keys))
    new = sum(key not in stack_set.instances for key in keys)
    quota = settings(stack_set.account).instances
    if len(stack_set.instances) + new > quota:
        raise limit(f"You have reached the limit of {quota} stack instances in a stack set")
    return submit_creation(stack_set, request, keys)


def submit_creation(stack_set: StackSet, request: Request, keys: dict[Key, Account], automatic: bool = False) -> Answer:
    """Take up the operation that makes instances."""
    return queue.submit(stack_set, request, "CREATE", _units(keys), _begin_creation, automatic)


@queue.beginning
def _begin_creation(stack_set: StackSet, operation: Operation) -> list[Instance]:
    _remember_units(stack_set, operation.request)
    given = operation.request.get("ParameterOverrides")
    working = []
    for key, unit in (operation.targets or {}).items():
        instance = stack_set.instances.setdefault(key, Instance(*key))
        if instance.status in ("INOPERABLE", "CURRENT"):
            continue
        instance.unit = unit or instance.unit
        instance.overrides = templates.changed_overrides(instance.overrides, given)
        instance.wait(operation.id)
        working.append(instance)
    return working


def update(request: Request) -> Answer:
    """Change the overrides of instances that are there, and bring them up to the set."""
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "UPDATE")
    if again:
        return again
    keys = _named_keys(stack_set, request)
    existing = targets.present(stack_set, keys)
    if not stack_set.service_managed:
        existing = targets.required(stack_set, keys)
    templates.check_overrides(stack_set, request.get("ParameterOverrides"), existing)
    return queue.submit(stack_set, request, "UPDATE", _units(keys), _begin_update)


@queue.beginning
def _begin_update(stack_set: StackSet, operation: Operation) -> list[Instance]:
    given = operation.request.get("ParameterOverrides")
    existing = targets.present(stack_set, operation.targets or {})
    working = [each for each in existing if each.status != "INOPERABLE"]
    for instance in working:
        instance.overrides = templates.changed_overrides(instance.overrides, given)
        instance.wait(operation.id)
    return working


def delete(request: Request) -> Answer:
    """Take instances out of the set, with their stacks or, with RetainStacks, without.

    What is not there is gone: an operation without instances succeeds (seen by aws/copilot-cli #5060). Terraform's
    resource aws_cloudformation_stack_set_instance expects an error, which the API reference does not list: a test may
    ask for that.
    """
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "DELETE")
    if again:
        return again
    keys = _named_keys(stack_set, request)
    queue.require_turn(stack_set)
    if settings(stack_set.account).gone_is_not_found and keys and not targets.present(stack_set, keys):
        raise no_instance(*next(iter(keys)))
    return submit_deletion(stack_set, request, keys)


def submit_deletion(stack_set: StackSet, request: Request, keys: dict[Key, Account], automatic: bool = False) -> Answer:
    """Take up the operation that takes instances out."""
    return queue.submit(stack_set, request, "DELETE", _units(keys), _begin_deletion, automatic)


@queue.beginning
def _begin_deletion(stack_set: StackSet, operation: Operation) -> list[Instance]:
    _forget_units(stack_set, operation.request)
    leaving = targets.present(stack_set, operation.targets or {})
    for instance in leaving:
        instance.wait(operation.id)
    return leaving


def _units(keys: dict[Key, Account]) -> dict[Key, str]:
    return {key: account.unit for key, account in keys.items()}


def _named_keys(stack_set: StackSet, request: Request, creating: bool = False) -> dict[Key, Account]:
    accounts = targets.named(stack_set, request, creating)
    if accounts is None:
        raise invalid("At least one of Accounts or DeploymentTargets must be specified")
    if not request["Regions"]:
        raise invalid("At least one of Regions must be specified")
    unknown = sorted(set(request["Regions"]) - set(REGIONS))
    if unknown:
        raise invalid(f"Regions: [{', '.join(unknown)}] do not exist")
    return targets.keys(accounts, request["Regions"])


def _remember_units(stack_set: StackSet, request: Request) -> None:
    """Units that were targeted once get the stack into accounts that come later."""
    for unit in (request.get("DeploymentTargets") or {}).get("OrganizationalUnitIds") or []:
        regions = stack_set.units.setdefault(unit, [])
        regions += [region for region in request["Regions"] if region not in regions]


def _forget_units(stack_set: StackSet, request: Request) -> None:
    """Units that are deleted whole are targets no more, and new accounts there get nothing."""
    given = request.get("DeploymentTargets") or {}
    for unit in [] if given.get("Accounts") else given.get("OrganizationalUnitIds") or []:
        left = [region for region in stack_set.units.get(unit, []) if region not in request["Regions"]]
        stack_set.units.pop(unit, None)
        if left:
            stack_set.units[unit] = left


def describe(request: Request) -> Answer:
    """Show one instance, and as the only operation its overrides."""
    stack_set = callers.find(request)
    key = request["StackInstanceAccount"], request["StackInstanceRegion"]
    if key not in stack_set.instances:
        raise no_instance(*key)
    return {"StackInstance": views.instance(stack_set, stack_set.instances[key])}


_FILTERS: dict[str, Callable[[Instance], str]] = {
    "DETAILED_STATUS": lambda each: each.detailed,
    "LAST_OPERATION_ID": lambda each: each.last_operation,
    "DRIFT_STATUS": lambda each: each.drift,
}


def list_instances(request: Request) -> Answer:
    """List instances by account and region; all filters must hold."""
    stack_set = callers.find(request)
    filters = [(_FILTERS[each["Name"]], each.get("Values")) for each in request.get("Filters") or []]
    found = [
        each
        for each in stack_set.instances.values()
        if each.account == request.get("StackInstanceAccount", each.account)
        and each.region == request.get("StackInstanceRegion", each.region)
        and all(read(each) == value for read, value in filters)
    ]
    which = f"ListStackInstances {stack_set.id}"
    return views.page(
        request, which, found, lambda each: list(each.key), lambda each: views.instance_summary(stack_set, each)
    )
