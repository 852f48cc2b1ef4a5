"""The target accounts as the plan role sees them: stacks, events, alarms, tasks, and change sets that nobody runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from builders.errors import RolloutError
from builders.rollout.client.change_sets import ResourceChange
from builders.rollout.model import Deployed, Place, Values


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm. `state` is OK, ALARM or INSUFFICIENT_DATA."""

    name: str
    state: str
    actions_enabled: bool


@dataclass(frozen=True)
class Look:
    """One stack to look at. `key` is the caller's own and comes back with the answer."""

    key: tuple[str, Place]
    stack_id: str


class Members:
    """All target accounts; each call says which place it means."""

    def deployed(self, place: Place, stack_id: str) -> Deployed | None:
        """A stack with its template as it was given; None when it is gone."""
        raise NotImplementedError

    def deployed_many(self, looks: Iterable[Look]) -> Iterator[tuple[Look, Deployed | None | RolloutError]]:
        """Look at many stacks at once, as they come; an account that cannot be read is an error in its place."""
        raise NotImplementedError

    def outputs(self, place: Place, stack_id: str) -> dict[str, str]:
        """A stack's outputs; none when it is gone."""
        raise NotImplementedError

    def first_failure(self, place: Place, stack_id: str, after: datetime | None = None) -> str:
        """The first resource that failed in the stack's last operation, and why; empty when none did."""
        raise NotImplementedError

    def alarms(self, place: Place, prefixes: Iterable[str]) -> list[Alarm]:
        """Alarms whose names begin so, metric and composite ones."""
        raise NotImplementedError

    def running_task(self, place: Place, stack_id: str) -> bool:
        """Whether a replication task of the stack runs, so that DMS refuses to modify it."""
        raise NotImplementedError

    def preview(self, place: Place, stack_id: str, template: str, values: Values) -> list[ResourceChange]:
        """What AWS says an update would change, by a change set that is deleted in any case."""
        raise NotImplementedError

    def can_read(self, place: Place, bucket: str, key: str) -> bool:
        """Whether the account may read an object, through its plan role."""
        raise NotImplementedError
