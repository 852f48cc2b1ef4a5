"""Client of a rollout: sessions in the accounts of a phase, by their roles, and the services that it calls."""

from __future__ import annotations

from collections.abc import Callable

from builders import naming
from builders.aws.accounts import Organizations
from builders.aws.calls import ApiCalls, Role, Session
from builders.aws.objects import Objects
from builders.rollout.model import Permissions, Target
from builders.rollout.stack_sets import StackSets

MAKE_DEPLOY_ROLE = "make it as in docs/bootstrap.md, The deploy role, or name another as deploy_role"
"""The remedy where `Client.deploying` has no role."""


class Client:
    """One attribute for each service, or part of one. Safe for threads; nothing is asked before it must be.

    `plan_role` is the role that reads, which the layer `account` makes; `deploy_role` gives the name of the role that
    deploys plain stacks in an account.
    """

    def __init__(
        self, calls: ApiCalls, permissions: Permissions, phase: str, suffix: str, deploy_role: Callable[[str], str]
    ) -> None:
        self.calls = calls
        self.plan_role = naming.with_suffix(naming.PLAN_ROLE, suffix)
        self._external_id = naming.external_id(phase)
        self.deploy_role = deploy_role
        self.sets = StackSets(calls, permissions)
        self.organizations = Organizations(calls.session())

    def reading(self, target: Target) -> Session:
        """Read stacks, alarms and tasks of the phase: through the plan role, in every account alike."""
        return self.calls.session(target.region, Role(target.account, self.plan_role, self._external_id))

    def reading_shared(self, target: Target) -> Session:
        """Read what is not in a stack set: through the plan role, too, but for the caller's own account."""
        own = target.account == self.calls.account()
        return self.calls.session(target.region) if own else self.reading(target)

    def looking(self, target: Target) -> Session:
        """Read what bootstrap would change: as `reading_shared`, or by the deploy role where no plan role is yet."""
        session = self.reading_shared(target)
        return session if session.answers() else self.deploying(target)

    def deploying(self, target: Target, with_external_id: bool = False) -> Session:
        """Deploy plain stacks, and delete what stacks leave: through the account's deploy role; not in our own account.

        Only a check that looks for the reason of a refusal hands over the phase's external id.
        """
        if target.account == self.calls.account():
            return self.calls.session(target.region)
        external_id = self._external_id if with_external_id else ""
        return self.calls.session(target.region, Role(target.account, self.deploy_role(target.account), external_id))

    def objects(self, region: str) -> Objects:
        """The administrator's buckets in a region."""
        return Objects(self.calls.session(region), self.calls.account())
