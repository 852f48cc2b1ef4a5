"""The door to AWS for the rest of the rollout."""

from __future__ import annotations

from collections import Counter

from builders.rollout.client.calls import Calls, Observer
from builders.rollout.client.members import Members
from builders.rollout.client.objects import Objects
from builders.rollout.client.plain import Plain
from builders.rollout.client.sessions import Access
from builders.rollout.client.stack_sets import StackSets
from builders.rollout.client.units import Organizations
from builders.rollout.model import Permissions

PLAN_ROLE = "stackferry-plan"
"""With the suffix behind it: the role that the layer `account` makes, and its external id is the phase's."""


class Client:
    """The accounts of one phase, by whose account is asked. Safe for threads; nothing is asked before it must be."""

    def __init__(
        self,
        access: Access,
        permissions: Permissions,
        phase: str,
        suffix: str,
        deploy_role: str,
        observe: Observer | None = None,
    ) -> None:
        self.calls = Calls(access, observe)
        self.sets = StackSets(self.calls, permissions)
        self.members = Members(self.calls, f"{PLAN_ROLE}-{suffix}", f"migration-{phase}")
        self.organizations = Organizations(self.calls)
        self.plain = Plain(self.calls, deploy_role)

    @classmethod
    def connect(
        cls,
        *,
        region: str,
        permissions: Permissions,
        phase: str,
        suffix: str,
        deploy_role: str,
        profile: str | None = None,
    ) -> Client:
        """Use boto3's standard chain of credentials, or a profile."""
        return cls(Access(region, profile), permissions, phase, suffix, deploy_role)

    def account(self) -> str:
        """The administrator's account: the one that the credentials belong to."""
        return self.calls.account()

    def objects(self, region: str) -> Objects:
        """The administrator's buckets in a region."""
        return Objects(self.calls, region)

    def counts(self) -> Counter[str]:
        """How often each operation was called, by names like "cloudformation:DescribeStackSet"."""
        return Counter(self.calls.counts)
