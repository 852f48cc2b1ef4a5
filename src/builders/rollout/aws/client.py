"""The accounts of one phase, as the rest of the rollout asks and changes them."""

from __future__ import annotations

from collections import Counter

from builders import naming
from builders.aws.calls import ApiCalls, Role, Session
from builders.rollout.aws.accounts import MemberAccounts, Organizations
from builders.rollout.aws.plain_stacks import PlainStacks
from builders.rollout.aws.s3 import Objects
from builders.rollout.aws.stack_sets import StackSets
from builders.rollout.model import Permissions, Target


class Client:
    """One attribute for each service, or part of one. Safe for threads; nothing is asked before it must be.

    `plan_role` is the role that reads, which the layer `account` makes.
    """

    def __init__(self, calls: ApiCalls, permissions: Permissions, phase: str, suffix: str, deploy_role: str) -> None:
        self.calls = calls
        self.plan_role = naming.with_suffix(naming.PLAN_ROLE, suffix)
        self._external_id = naming.external_id(phase)
        self._deploy_role = deploy_role
        self.sets = StackSets(calls, permissions)
        self.members = MemberAccounts(self.reading)
        self.organizations = Organizations(calls.session())
        self.plain = PlainStacks(self.deploying)

    def reading(self, target: Target) -> Session:
        """Read stacks, alarms and tasks of the phase: through the plan role, in every account alike."""
        return self.calls.session(target.region, Role(target.account, self.plan_role, self._external_id))

    def deploying(self, target: Target, with_external_id: bool = False) -> Session:
        """Do everything else: through the deploy role, which the caller's own account does not need.

        Only a check that looks for the reason of a refusal hands over the phase's external id.
        """
        if target.account == self.calls.account():
            return self.calls.session(target.region)
        external_id = self._external_id if with_external_id else ""
        return self.calls.session(target.region, Role(target.account, self._deploy_role, external_id))

    def objects(self, region: str) -> Objects:
        """The administrator's buckets in a region."""
        return Objects(self.calls.session(region))

    def counts(self) -> Counter[str]:
        """The calls of each operation, by names like "cloudformation:DescribeStackSet"."""
        return Counter(self.calls.counts)
