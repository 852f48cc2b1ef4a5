"""All boto3 of the rollout, by whose account is asked.

    client.sets          StackSets in the administrator's account
    client.members       the target accounts, through the plan role: reading and unexecuted change sets
    client.plain         plain stacks, through the deploy role
    client.organizations the accounts of organizational units
    client.objects(...)  S3 in the administrator's account
    client.calls         what every call goes through: it counts, observes, bounds, and words errors

Errors are `RolloutError` and its children in `refusals.py`. boto3 is loaded at the first call.
"""

from __future__ import annotations

from builders.rollout.client.abreast import together
from builders.rollout.client.calls import Call, Moment
from builders.rollout.client.client import Client
from builders.rollout.client.sessions import Access

__all__ = ["Access", "Call", "Client", "Moment", "together"]
