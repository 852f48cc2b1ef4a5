"""detach: instances that StackSets forgets without deleting their stacks, in accounts that left a phase."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from builders.errors import RolloutError, UsageError
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import Refused
from builders.rollout.model import DesiredState, StackSet, Status
from builders.rollout.plan.calls import Action, Call, rectangles
from builders.scopes import in_order


def plan_detachment(
    client: Client, desired: DesiredState, sets: Mapping[str, StackSet], accounts: Collection[str]
) -> dict[str, list[Call]]:
    """By layer, those that need others first, the calls of `remove --account`.

    Raises `UsageError` for an account without instances, and `RolloutError` where there is nothing to detach.
    """
    present = {target.account for state in sets.values() for target in state.instances}
    strangers = sorted(set(accounts) - present)
    if strangers:
        raise UsageError(f"phase {desired.phase} has no instance in {', '.join(strangers)}; see `status`")
    reached = {account for account in accounts if _is_reached(client, sets, account)}
    calls = detach_calls(sets, accounts, reached, desired.regions)
    if not calls:
        raise RolloutError(
            f"nothing to detach: StackSets reaches all instances of {', '.join(sorted(accounts))}; take the accounts "
            "out of rollout.yaml and apply, which removes their stacks"
        )
    order = [layer for layer in reversed(in_order(desired.needs)) if layer in calls]
    return {layer: calls[layer] for layer in [*order, *sorted(calls.keys() - set(order))]}


def detach_calls(
    sets: Mapping[str, StackSet], accounts: Collection[str], reached: Collection[str], region_order: Iterable[str]
) -> dict[str, list[Call]]:
    """By layer, the calls that detach: an account that is not `reached` any more loses all its instances.

    One that is reached loses only its INOPERABLE ones: the others still work, and are removed by a plan. The stacks,
    where there still are any, stay. Layers that lose nothing are left out.
    """
    order = tuple(region_order)
    gone = set(accounts) - set(reached)
    found = {}
    for layer, state in sets.items():
        targets = [
            target
            for target, instance in state.instances.items()
            if target.account in gone or (target.account in accounts and instance.status is Status.INOPERABLE)
        ]
        if targets:
            found[layer] = [
                Call(Action.DELETE, layer, state.name, those, regions, retain=True)
                for those, regions in rectangles(targets, order)
            ]
    return found


def _is_reached(client: Client, sets: Mapping[str, StackSet], account: str) -> bool:
    """True when the account still lets us read a stack of ours."""
    for state in sets.values():
        for target, instance in state.instances.items():
            if target.account == account and instance.stack_id:
                try:
                    client.members.outputs(target, instance.stack_id)
                except Refused:
                    return False
                return True
    return False
