"""The door to AWS for the rest of the rollout.

By which role each account of a phase is reached, and for what.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from builders import naming
from builders.rollout.aws.accounts import Members
from builders.rollout.aws.calls import ApiCalls, CallObserver
from builders.rollout.aws.organizations import Organizations
from builders.rollout.aws.s3 import Objects
from builders.rollout.aws.sessions import Access, Endpoint, Role
from builders.rollout.aws.stack_sets import StackSets
from builders.rollout.aws.stacks import PlainStacks
from builders.rollout.model import Permissions, Target


class Client:
    """The accounts of one phase, by whose account is asked. Safe for threads; nothing is asked before it must be."""

    def __init__(
        self,
        access: Access,
        permissions: Permissions,
        phase: str,
        suffix: str,
        deploy_role: str,
        observe: CallObserver | None = None,
    ) -> None:
        self.calls = ApiCalls(access, observe)
        self.sets = StackSets(self.calls, permissions)
        self.members = Members(self.calls, naming.with_suffix(naming.PLAN_ROLE, suffix), naming.external_id(phase))
        self.organizations = Organizations(self.calls)
        self.plain = PlainStacks(self.calls, deploy_role)

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


@dataclass(frozen=True)
class AccessPaths:
    """The roles of one phase. `own` is the account of the caller's credentials, which needs none."""

    own: str
    plan_role: str
    external_id: str
    deploy_role: str

    @classmethod
    def of(cls, client: Client, phase: str, suffix: str, deploy_role: str) -> AccessPaths:
        """As the client reaches them."""
        return cls(
            client.account(), naming.with_suffix(naming.PLAN_ROLE, suffix), naming.external_id(phase), deploy_role
        )

    def reading(self, target: Target) -> Endpoint:
        """Stacks, alarms and tasks of a phase: through the plan role, in every account alike."""
        return Endpoint(target.region, Role(target.account, self.plan_role, self.external_id))

    def deploying(self, target: Target) -> Endpoint:
        """Everything else: through the deploy role."""
        return Endpoint(target.region, None if target.account == self.own else Role(target.account, self.deploy_role))
