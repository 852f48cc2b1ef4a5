"""By which role each account of a phase is reached, and for what."""

from __future__ import annotations

from dataclasses import dataclass

from builders.rollout.client.client import PLAN_ROLE, Client
from builders.rollout.client.sessions import Role, Where
from builders.rollout.model import Place


@dataclass(frozen=True)
class Reach:
    """The roles of one phase. `own` is the account of the caller's credentials, which needs none."""

    own: str
    plan_role: str
    external_id: str
    deploy_role: str

    @classmethod
    def of(cls, client: Client, phase: str, suffix: str, deploy_role: str) -> Reach:
        """As the client reaches them."""
        return cls(client.account(), f"{PLAN_ROLE}-{suffix}", f"migration-{phase}", deploy_role)

    def reading(self, place: Place) -> Where:
        """Stacks, alarms and tasks of a phase: through the plan role, in every account alike."""
        return Where(place.region, Role(place.account, self.plan_role, self.external_id))

    def deploying(self, place: Place) -> Where:
        """Everything else: through the deploy role."""
        return Where(place.region, None if place.account == self.own else Role(place.account, self.deploy_role))
