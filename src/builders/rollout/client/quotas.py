"""Service quotas of CloudFormation, by their names: the codes have changed before, and differ between partitions."""

from __future__ import annotations

from builders.rollout.client.calls import Calls
from builders.rollout.client.sessions import Where

STACK_SETS = "Stack sets per administrator account"
INSTANCES = "Stack instances per stack set"
STACKS = "Stack count"

DEFAULTS = {STACK_SETS: 1_000, INSTANCES: 100_000, STACKS: 2_000}
"""AWS General Reference, "AWS CloudFormation endpoints and quotas"."""


def quotas(calls: Calls, where: Where) -> dict[str, int]:
    """What holds for an account and region, by name; the defaults for those that are not told."""
    found = calls.pages(
        where, "service-quotas", "ListServiceQuotas", "Quotas", ServiceCode="cloudformation", MaxResults=100
    )
    told = {each["QuotaName"]: int(each["Value"]) for each in found if "Value" in each}
    return {name: told.get(name, default) for name, default in DEFAULTS.items()}
