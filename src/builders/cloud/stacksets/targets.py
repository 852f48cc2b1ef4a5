"""Which accounts a request means: those that it lists, or those of organizational units.

Source: CloudFormation API reference, DeploymentTargets; user guide, "Account level targets for service-managed
Stack Sets". The two sentences about SERVICE_MANAGED are read in public threads (terraform users, Control Tower).

Parameters: those of the set, an instance's overrides, and what a member stack gets of both.

Source: CloudFormation API reference, UpdateStackInstances and UpdateStackSet; user guide, "Override parameters on
stack instances".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders.cloud.organizations import membership
from builders.cloud.stacksets.model import Instance, Key, StackSet
from builders.cloud.stacksets.wire import Request, invalid, no_instance

MOST_UNITS = 50


@dataclass(frozen=True)
class Account:
    """An account to deploy to, and the unit by which it was meant."""

    number: str
    unit: str = ""


def named(stack_set: StackSet, request: Request, creating: bool = False) -> list[Account] | None:
    """Return the accounts that a request means, in its order, each once; None where it names none at all."""
    given = request.get("DeploymentTargets") or {}
    units, accounts = given.get("OrganizationalUnitIds") or [], given.get("Accounts") or []
    if "AccountsUrl" in given:
        raise invalid("AccountsUrl is not offered by the embedded cloud: list the accounts in Accounts")
    if not stack_set.service_managed:
        if units or "AccountFilterType" in given:
            raise invalid("OrganizationalUnitIds are only valid for stack sets with SERVICE_MANAGED permission model")
        if accounts and request.get("Accounts"):
            raise invalid("You can specify Accounts or DeploymentTargets, but not both")
        listed = [*accounts, *(request.get("Accounts") or [])]
        return [Account(number) for number in dict.fromkeys(listed)] or None
    if request.get("Accounts"):
        raise invalid("StackSets with SERVICE_MANAGED permission model can only have OrganizationalUnit as target")
    if not given:
        return None
    if not units:
        raise invalid("OrganizationalUnitIds are required")
    if len(units) > MOST_UNITS:
        raise invalid(f"{len(units)} organizational units are given; at most {MOST_UNITS} are allowed")
    return _filtered(stack_set, units, accounts, given.get("AccountFilterType"), creating)


def _filtered(
    stack_set: StackSet, units: list[str], accounts: list[str], kind: str | None, creating: bool
) -> list[Account]:
    kind = kind or ("UNION" if accounts else "NONE")
    if kind == "UNION" and creating:
        raise invalid("AccountFilterType UNION is not supported for CreateStackInstances")
    if (kind == "NONE") == bool(accounts):
        raise invalid(f"AccountFilterType {kind} {'takes no' if accounts else 'needs'} Accounts")
    management = stack_set.account
    found: dict[str, Account] = {}
    for unit in units:
        members = membership.accounts_below(management, unit)
        if members is None:
            raise invalid(f"OrganizationalUnit {unit} does not exist in the organization")
        for number in members:
            found.setdefault(number, Account(number, unit))
        for instance in [] if creating else stack_set.instances.values():
            if instance.unit == unit:  # its account may have left the unit since
                found.setdefault(instance.account, Account(instance.account, unit))
    if kind == "INTERSECTION":
        found = {number: each for number, each in found.items() if number in accounts}
    if kind == "DIFFERENCE":
        found = {number: each for number, each in found.items() if number not in accounts}
    if kind == "UNION":
        for number in accounts:
            found.setdefault(number, Account(number))
    found.pop(management, None)  # never the management account
    return list(found.values())


def keys(accounts: Iterable[Account], regions: Iterable[str]) -> dict[Key, Account]:
    """Return account by account and region, regions first."""
    return {(account.number, region): account for region in dict.fromkeys(regions) for account in accounts}


def present(stack_set: StackSet, wanted: Iterable[Key]) -> list[Instance]:
    """Return the instances of the set that are there."""
    return [stack_set.instances[key] for key in wanted if key in stack_set.instances]


def required(stack_set: StackSet, wanted: Iterable[Key]) -> list[Instance]:
    """Return the instances; refuse the first that is not there."""
    for account, region in (missing for missing in wanted if missing not in stack_set.instances):
        raise no_instance(account, region)
    return present(stack_set, wanted)


Parameters = list[dict[str, Any]]
"""As the API has them: ParameterKey with ParameterValue or UsePreviousValue."""


def of_set(template: Mapping[str, Any], given: Parameters, previous: Mapping[str, str]) -> dict[str, str]:
    """Return a value for every parameter of the template that has one: given, kept, or its default."""
    values = {}
    asked = {each["ParameterKey"]: each for each in given}
    for name, definition in (template.get("Parameters") or {}).items():
        each = asked.get(name, {})
        if each.get("UsePreviousValue"):
            values[name] = previous[name]
        elif "ParameterValue" in each:
            values[name] = each["ParameterValue"]
        elif "Default" in definition:
            values[name] = _text(definition["Default"])
    return values


def for_stack(stack_set: StackSet, instance: Instance) -> dict[str, str]:
    """Return what the member stack is deployed with: the set's values, the instance's own over them.

    An override of a parameter that the template has no more has nothing to override.
    """
    declared = stack_set.template.get("Parameters") or {}
    merged = stack_set.parameters | instance.overrides
    return {name: value for name, value in merged.items() if name in declared}


def check(stack_set: StackSet, given: Parameters | None, existing: Iterable[Instance]) -> None:
    """Refuse overrides of parameters that the set does not have, or that are too new.

    A parameter that is new in the template can be overridden only when every instance has been updated with it.
    """
    names = {each["ParameterKey"] for each in given or []}
    unknown = sorted(names - set(stack_set.template.get("Parameters") or {}))
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    for each in given or []:
        if each.get("UsePreviousValue") and "ParameterValue" in each:
            key = each["ParameterKey"]
            raise invalid(f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and a value")
    if not list(existing):
        return
    for instance in stack_set.instances.values():
        new = sorted(names - instance.parameters) if instance.stack_id else []
        if new:
            raise invalid(
                f"Parameters: [{', '.join(new)}] cannot be overridden before all stack instances are updated with the "
                f"template that has them; the one in account {instance.account}, region {instance.region} is not"
            )


def changed(present: Mapping[str, str], given: Parameters | None) -> dict[str, str]:
    """Return an instance's overrides after a request.

    No list keeps them all; a list sets what it names, keeps what it names with UsePreviousValue, and resets the rest.
    """
    if given is None:
        return dict(present)
    result = {}
    for each in given:
        name = each["ParameterKey"]
        if not each.get("UsePreviousValue"):
            result[name] = each.get("ParameterValue", "")
        elif name in present:
            result[name] = present[name]
    return result


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
