"""The credentials of the administrator, and the roles by which the accounts of a phase are reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builders import naming
from builders.rollout.model import Target

if TYPE_CHECKING:
    from builders.rollout.aws.calls import ApiCalls, Session


@dataclass(frozen=True)
class Access:
    """The administrator's credentials and region: boto3's standard chain, unless `keys` (id and secret) are given.

    `endpoint_url` is for the embedded cloud; without it boto3 decides (AWS_ENDPOINT_URL too).
    """

    region: str
    profile: str | None = None
    endpoint_url: str | None = None
    keys: tuple[str, str] | None = field(default=None, repr=False)
    attempts: int = 0
    """Of each call, the first included; 0: what AWS_MAX_ATTEMPTS says, else 8."""
    connect_seconds: float = 10
    read_seconds: float = 60


@dataclass(frozen=True)
class Role:
    """A role that is assumed; `external_id` may be empty."""

    account: str
    name: str
    external_id: str = ""


@dataclass(frozen=True)
class PhaseRoles:
    """The roles by which the accounts of a phase are reached; the caller's own account needs none to deploy."""

    calls: ApiCalls
    phase: str
    suffix: str
    deploy_role: str

    @property
    def plan_role(self) -> str:
        """The name of the role that reads, which the layer `account` makes."""
        return naming.with_suffix(naming.PLAN_ROLE, self.suffix)

    def reading(self, target: Target) -> Session:
        """Read stacks, alarms and tasks of a phase: through the plan role, in every account alike."""
        return self.calls.session(target.region, Role(target.account, self.plan_role, naming.external_id(self.phase)))

    def deploying(self, target: Target) -> Session:
        """Do everything else: through the deploy role."""
        own = target.account == self.calls.account()
        return self.calls.session(target.region, None if own else Role(target.account, self.deploy_role))
