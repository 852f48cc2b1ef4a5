"""Who makes which calls on what, as values."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class Who(enum.Enum):
    """Whose credentials a call is made with."""

    CALLER = "the caller, in the tooling account"
    PLAN = "the plan role, in each target account"
    DEPLOY = "the deploy role, in the network account and each target account"


@dataclass(frozen=True)
class Scope:
    """Whose resources are meant: names that a page leaves open, or those of a real phase as rollout.yaml has them."""

    tooling: str = "${ToolingAccount}"
    home: str = "${HomeRegion}"
    suffix: str = "${Suffix}"
    deploy_role: str = "${DeployRole}"
    partition: str = "aws"

    def filled(self, resource: str) -> str:
        """A resource with them filled in."""
        return resource.format(
            aws=self.partition,
            tooling=self.tooling,
            home=self.home,
            suffix=self.suffix,
            deploy_role=self.deploy_role,
        )


@dataclass(frozen=True)
class Grant:
    """Calls on resources. `calls` are boto3's service and operation, as the client counts them.

    `implied` are further actions that IAM asks for where those calls are made. `why` says what it is for, and where the
    resource is "*", why it is no narrower.
    """

    who: Who
    calls: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    implied: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[str, ...]:
        """What IAM must allow."""
        return tuple(sorted({*(action for call in self.calls for action in _actions(call)), *self.implied}))


_OTHERWISE = {
    # Amazon S3 API reference, HeadObject and HeadBucket: "Permissions".
    "s3:HeadObject": ("s3:GetObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    # Security Token Service API reference, GetCallerIdentity: no permissions are needed, and none can be taken away.
    "sts:GetCallerIdentity": (),
    "service-quotas:ListServiceQuotas": ("servicequotas:ListServiceQuotas",),
}
"""Where the action is not called as the operation is."""


def _actions(call: str) -> Iterator[str]:
    yield from _OTHERWISE.get(call, (call,))
