"""The accounts of one phase, as the rest of the rollout asks and changes them."""

from __future__ import annotations

from collections import Counter

from builders.rollout.aws.access import Access, PhaseRoles
from builders.rollout.aws.accounts import MemberAccounts
from builders.rollout.aws.calls import ApiCalls
from builders.rollout.aws.organizations import Organizations
from builders.rollout.aws.plain_stacks import PlainStacks
from builders.rollout.aws.s3 import Objects
from builders.rollout.aws.stack_sets import StackSets
from builders.rollout.model import Permissions


class Client:
    """One attribute for each service, or part of one. Safe for threads; nothing is asked before it must be."""

    def __init__(self, calls: ApiCalls, permissions: Permissions, phase: str, suffix: str, deploy_role: str) -> None:
        self.calls = calls
        self.roles = PhaseRoles(calls, phase, suffix, deploy_role)
        self.sets = StackSets(calls, permissions)
        self.members = MemberAccounts(self.roles)
        self.organizations = Organizations(calls)
        self.plain = PlainStacks(self.roles)

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
        return cls(ApiCalls(Access(region, profile)), permissions, phase, suffix, deploy_role)

    def account(self) -> str:
        """The administrator's account: the one that the credentials belong to."""
        return self.calls.account()

    def objects(self, region: str) -> Objects:
        """The administrator's buckets in a region."""
        return Objects(self.calls.session(region))

    def counts(self) -> Counter[str]:
        """The calls of each operation, by names like "cloudformation:DescribeStackSet"."""
        return Counter(self.calls.counts)
