"""Accounts that a request means: those that it lists, or those of organizational units.

Source: CloudFormation API reference, DeploymentTargets; user guide, "Account level targets for service-managed
Stack Sets". The two sentences about SERVICE_MANAGED are read in public threads (terraform users, Control Tower).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from builders.cloud.cloudformation.wire import Request, invalid, no_instance
from builders.cloud.organizations import membership
from builders.cloud.stacksets.model import Instance, Key, StackSet
from builders.naming import UNITS_LIMIT


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
    check_units(units)
    return _filtered(stack_set, units, accounts, given.get("AccountFilterType"), creating)


def check_units(units: list[str]) -> None:
    """Refuse more units than a call may name."""
    if len(units) > UNITS_LIMIT:
        raise invalid(f"{len(units)} organizational units are given; at most {UNITS_LIMIT} are allowed")


def accounts_of(management: str, unit: str) -> list[str]:
    """Return the accounts of a unit and of those below it; refuse a unit that is not there."""
    found = membership.accounts_below(management, unit)
    if found is None:
        raise invalid(f"OrganizationalUnit {unit} does not exist in the organization")
    return found


def _filtered(
    stack_set: StackSet, units: list[str], accounts: list[str], kind: str | None, creating: bool
) -> list[Account]:
    kind = kind or ("UNION" if accounts else "NONE")
    if kind == "UNION" and creating:
        raise invalid("AccountFilterType UNION is not supported for CreateStackInstances")
    if (kind == "NONE") == bool(accounts):
        raise invalid(f"AccountFilterType {kind} {'takes no' if accounts else 'needs'} Accounts")
    management = stack_set.account
    found = _in_units(stack_set, units) if creating else _made_in_units(stack_set, units)
    if kind == "INTERSECTION":
        found = {number: each for number, each in found.items() if number in accounts}
    if kind == "DIFFERENCE":
        found = {number: each for number, each in found.items() if number not in accounts}
    if kind == "UNION":
        for number in accounts:
            found.setdefault(number, Account(number))
    found.pop(management, None)  # never the management account
    return list(found.values())


def _in_units(stack_set: StackSet, units: list[str]) -> dict[str, Account]:
    """Return the accounts that are in units now, each with the first unit that has it."""
    found: dict[str, Account] = {}
    for unit in units:
        for number in accounts_of(stack_set.account, unit):
            found.setdefault(number, Account(number, unit))
    return found


def _made_in_units(stack_set: StackSet, units: list[str]) -> dict[str, Account]:
    """Return the accounts whose instances were made in units, wherever they are now.

    An instance belongs to the unit that the request named which made it (API reference, StackInstance,
    OrganizationalUnitId): a unit above or below that one does not reach it, which is a reading of that.
    """
    present = {instance.unit for instance in stack_set.instances.values()}
    for unit in units:
        if unit not in present:
            accounts_of(stack_set.account, unit)
    made = (each for each in stack_set.instances.values() if each.unit in units)
    return {each.account: Account(each.account, each.unit) for each in made}


def keys(accounts: Iterable[Account], regions: Iterable[str]) -> dict[Key, Account]:
    """Return account by account and region, regions first."""
    return {(account.number, region): account for region in dict.fromkeys(regions) for account in accounts}


def present(stack_set: StackSet, keys: Iterable[Key]) -> list[Instance]:
    """Return the instances of the set that are there."""
    return [stack_set.instances[key] for key in keys if key in stack_set.instances]


def required(stack_set: StackSet, keys: Iterable[Key]) -> list[Instance]:
    """Return the instances; refuse the first that is not there."""
    for account, region in (key for key in keys if key not in stack_set.instances):
        raise no_instance(account, region)
    return present(stack_set, keys)
