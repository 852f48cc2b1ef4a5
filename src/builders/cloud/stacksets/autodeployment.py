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
            _bring(stack_set, account, before, after)


def _bring(stack_set: StackSet, account: str, before: list[str], after: list[str]) -> None:
    was, shall = _regions(stack_set, before), _regions(stack_set, after)
    gone: dict[Key, Account] = {(account, region): Account(account) for region in was if region not in shall}
    come: dict[Key, Account] = {
        (account, region): Account(account, unit)
        for region, unit in shall.items()
        if (account, region) not in stack_set.instances
    }
    retain = bool((stack_set.auto_deployment or {}).get("RetainStacksOnAccountRemoval"))
    gone = {key: each for key, each in gone.items() if key in stack_set.instances}
    if gone:
        instances.submit_deletion(stack_set, {"RetainStacks": retain}, gone, automatic=True)
    if come:
        instances.submit_creation(stack_set, {}, come, automatic=True)


def _regions(stack_set: StackSet, units: list[str]) -> dict[str, str]:
    """Return the regions that the set targets in any of the units, each with the nearest such unit."""
    return {region: unit for unit in reversed(units) for region in stack_set.units.get(unit, [])}
