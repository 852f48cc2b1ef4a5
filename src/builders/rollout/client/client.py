"""The door to AWS for the rest of the rollout."""

from __future__ import annotations

from collections import Counter

from builders.rollout.client.calls import Observer
from builders.rollout.client.members import Members
from builders.rollout.client.objects import Objects
from builders.rollout.client.plain import Plain
from builders.rollout.client.sessions import Access
from builders.rollout.client.stack_sets import StackSets
from builders.rollout.model import Permissions


class Client:
    """The accounts of one phase, by whose account is asked."""

    sets: StackSets
    members: Members
    plain: Plain

    def __init__(
        self,
        access: Access,
        permissions: Permissions,
        phase: str,
        suffix: str,
        deploy_role: str,
        observe: Observer | None = None,
    ) -> None:
        raise NotImplementedError

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
        raise NotImplementedError

    def objects(self, region: str) -> Objects:
        """The buckets of a region."""
        raise NotImplementedError

    def counts(self) -> Counter[str]:
        """How often each operation was called, by names like "cloudformation:DescribeStackSet"."""
        raise NotImplementedError
