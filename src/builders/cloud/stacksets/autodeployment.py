"""Automatic deployment: accounts that come into a target's units get stacks, those that go lose them.

Source: CloudFormation user guide, "Enable or disable automatic deployments". Preferences and overrides do not apply;
operations are queued behind those that run. Account filters are not remembered, as users of StackSets complain.
"""

from __future__ import annotations

import logging

from builders.cloud.stacksets import callers, instances
from builders.cloud.stacksets.model import Key, StackSet
from builders.cloud.stacksets.targets import Account

logger = logging.getLogger("stacksets")


def follow(management: str, account: str, before: list[str], after: list[str]) -> None:
    """Deploy to an account where units are above it now, and delete where they were (membership.Listener)."""
    if account == management or not callers.trusted(management):
        return
    for stack_set in callers.owned(management):
        if stack_set.status == "ACTIVE" and (stack_set.auto_deployment or {}).get("Enabled"):
            _deploy_and_delete(stack_set, account, before, after)


def _deploy_and_delete(stack_set: StackSet, account: str, before: list[str], after: list[str]) -> None:
    old, new = _regions(stack_set, before), _regions(stack_set, after)
    leaving: dict[Key, Account] = {(account, region): Account(account) for region in old if region not in new}
    joining: dict[Key, Account] = {
        (account, region): Account(account, unit)
        for region, unit in new.items()
        if (account, region) not in stack_set.instances
    }
    retain = bool((stack_set.auto_deployment or {}).get("RetainStacksOnAccountRemoval"))
    leaving = {key: each for key, each in leaving.items() if key in stack_set.instances}
    if leaving:
        instances.submit_deletion(stack_set, {"RetainStacks": retain}, leaving, automatic=True)
    if joining:
        instances.submit_creation(stack_set, {}, joining, automatic=True)


def _regions(stack_set: StackSet, units: list[str]) -> dict[str, str]:
    """Return the regions that the set targets in any of the units, each with the nearest such unit."""
    return {region: unit for unit in reversed(units) for region in stack_set.units.get(unit, [])}
