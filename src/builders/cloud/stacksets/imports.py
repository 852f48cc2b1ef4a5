"""ImportStacksToStackSet, and the StackId of CreateStackSet: stacks that stand already become members of a set.

Sources: CloudFormation API reference, ImportStacksToStackSet, CreateStackSet and StackInstanceComprehensiveStatus; user
guide, "Import stacks into CloudFormation StackSets" with "Requirements for stack import", "Self-managed stack import"
and "Service-managed stack import". That an import fails where a change set of the set's template would find a
difference, that NoEcho always is one, and that the failed instance is left in the set, is read in "CloudFormation
StackSetsのインポートが失敗するときの対処法" (DevelopersIO, 2024). Sentences are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ministack.core.responses import request_scope

from builders.cloud.cloudformation import wire
from builders.cloud.cloudformation.wire import Answer, Refused, Request, impossible, invalid, limit
from builders.cloud.internals import cloudformation
from builders.cloud.organizations import membership
from builders.cloud.stacksets import callers, permissions, queue, targets, templates
from builders.cloud.stacksets.model import Instance, Key, Operation, StackSet, settings
from builders.resource_types import Json

INLINE = 10
IN_A_FILE = 200
"""Stacks by StackIds and by StackIdsUrl (user guide, "Import stacks into CloudFormation StackSets")."""

_ARN = re.compile(r"arn:aws[a-z-]*:cloudformation:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):stack/(?P<name>[^/]+)/.+")
_TEXT_OF_A_LIST = re.compile(r"[\s,\"'\[\]]+")


@dataclass(frozen=True)
class _Address:
    """The account, the region and the name that a stack's ARN has."""

    arn: str
    account: str
    region: str
    name: str

    @property
    def key(self) -> Key:
        return self.account, self.region

    def stack(self) -> Json:
        """Return the stack; None where there is none with this id, or it is deleted."""
        with request_scope(*self.key):
            found = cloudformation.stacks.get(self.name)
        there = found is not None and found["StackId"] == self.arn and found["StackStatus"] != "DELETE_COMPLETE"
        return found if there else None


def import_stacks(request: Request) -> Answer:
    """Make instances of stacks that stand already; none of them is changed."""
    stack_set = callers.find(request)
    again = queue.repeated(stack_set, request, "CREATE")
    if again:
        return again
    units = _units(stack_set, request)
    found = [_address(each) for each in _stack_ids(request)]
    for each in found:
        if each.stack() is None:
            raise _no_stack(each.arn)
    where: dict[Key, str] = {each.key: _unit(stack_set, each, units) for each in found}
    if len(where) < len(found):
        raise invalid("A stack set has one stack instance in an account and Region: StackIds has two of one")
    for each in found:
        _check_place(stack_set, each)
    if len(stack_set.instances.keys() | where) > settings(stack_set.account).instances:
        raise limit(f"You have reached the limit of {settings(stack_set.account).instances} stack instances in a set")
    stack_ids = {each.key: each.arn for each in found}
    return queue.submit(stack_set, request, "CREATE", where, _begin_import, stack_ids=stack_ids)


@queue.beginning
def _begin_import(stack_set: StackSet, operation: Operation) -> list[Instance]:
    working = []
    for key, unit in (operation.targets or {}).items():
        instance = stack_set.instances.setdefault(key, Instance(*key))
        instance.unit = unit
        instance.wait(operation.id)
        working.append(instance)
    return working


def template_of(request: Request, account: str) -> tuple[str, templates.Template]:
    """Return the template of the stack that CreateStackSet names, which the member's execution role reads."""
    if {"TemplateBody", "TemplateURL"} & set(request):
        raise invalid("You cannot specify StackId together with TemplateBody or TemplateURL")
    address = _address(request["StackId"])
    stack = address.stack()
    if stack is None:
        raise _no_stack(address.arn)
    if request.get("PermissionModel") != "SERVICE_MANAGED" and address.account != account:
        name = request.get("ExecutionRoleName") or StackSet.execution_role_name
        refused = permissions.Role(address.account, name).refusal("cloudformation:GetTemplate", address.arn)
        if refused:
            raise impossible(refused)
    body = str(stack["_template_body"])
    return body, templates.parse(body)


def _no_stack(arn: str) -> Refused:
    return Refused("StackNotFoundException", f"Stack {arn} does not exist")


def _address(arn: str) -> _Address:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise invalid(f"Stack ID {arn} is not the ARN of a stack")
    return _Address(arn, found["account"], found["region"], found["name"])


def _stack_ids(request: Request) -> list[str]:
    """Return the ids that a request lists, or those in the object of its URL.

    No page gives the form of that object: here a JSON list, or ids between commas, spaces or lines.
    """
    given, url = request.get("StackIds") or [], request.get("StackIdsUrl")
    if bool(given) == bool(url):
        raise invalid("Specify either StackIds or StackIdsUrl")
    most = INLINE
    if url:
        address = re.sub(r"^s3://", "https://s3.amazonaws.com/", url)
        body, problem = cloudformation.read_document({"Url": [address]}, "Body", "Url", "Stack IDs")
        if problem:
            raise invalid(wire.message(problem))
        given, most = [each for each in _TEXT_OF_A_LIST.split(body) if each], IN_A_FILE
    given = list(dict.fromkeys(given))
    if not given:
        raise invalid("At least one stack ID must be specified")
    if len(given) > most:
        raise limit(f"{len(given)} stacks are given; at most {most} can be imported in one operation")
    return given


def _units(stack_set: StackSet, request: Request) -> list[str]:
    """Return the units that a request names: at least one for a service-managed set, none for another."""
    units = request.get("OrganizationalUnitIds") or []
    if not stack_set.service_managed and units:
        raise invalid("OrganizationalUnitIds are only valid for stack sets with SERVICE_MANAGED permission model")
    if stack_set.service_managed and not units:
        raise invalid("OrganizationalUnitIds are required")
    targets.check_units(units)
    for unit in units:
        targets.accounts_of(stack_set.account, unit)
    return units


def _unit(stack_set: StackSet, address: _Address, units: list[str]) -> str:
    """Return the nearest of the units above the stack's account, to which the instance belongs."""
    if not stack_set.service_managed:
        return ""
    if address.account == stack_set.account:
        raise invalid("Stacks in the management account cannot be imported into a SERVICE_MANAGED stack set")
    of_it = membership.management_of(address.account) == stack_set.account
    nearest = [each for each in membership.units_above(stack_set.account, address.account) if each in units]
    if not of_it or not nearest:
        raise _no_stack(address.arn)
    return nearest[0]


def _check_place(stack_set: StackSet, address: _Address) -> None:
    """Refuse a stack where the set has an instance already; a failed import may be tried again."""
    there = stack_set.instances.get(address.key)
    retried = there is not None and there.detailed == "FAILED_IMPORT" and there.stack_id == address.arn
    if there is not None and not retried:
        raise impossible(
            f"Stack instance in account {address.account}, region {address.region} already exists in the stack set"
        )
