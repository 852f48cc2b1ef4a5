"""The values that all parts of one run share: its clock, its services, its observer and its report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout.client import Client
from builders.rollout.model import DesiredState, Operation, Target, grouped
from builders.rollout.plan.calls import Call
from builders.rollout.state.store import OverrideCache, Store


class Clock:
    """The machine's time; tests let theirs pass faster."""

    def now(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


@dataclass(frozen=True)
class PollInterval:
    """Seconds between two polls of an operation: the first, and the longest, each a half more than the one before."""

    first: float = 1.0
    longest: float = 15.0


class Observer:
    """Learns of the events of a run in their order. This one ignores them; subclasses show them."""

    detailed: bool = False
    """The state of each instance is worth asking for while operations run."""

    def wave(self, name: str, targets: int) -> None:
        """A wave begins."""

    def submitted(self, call: Call, operation_id: str) -> None:
        """A call was made."""

    def operation(self, call: Call, operation: Operation) -> None:
        """An operation was polled."""

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        """Instances of a layer were looked at: CURRENT, RUNNING, FAILED, PENDING, absent, skipped ..."""

    def say(self, line: str) -> None:
        """Show a line that a person should read."""


@dataclass(frozen=True)
class RunServices:
    """AWS, the store, time and the observer of a run."""

    client: Client
    store: Store
    clock: Clock
    poll_interval: PollInterval
    observer: Observer


@dataclass(frozen=True)
class Context(RunServices):
    """The services of a run with the state that it leads to."""

    desired: DesiredState
    id_prefix: str
    """The beginning of the ids of the run's operations."""
    override_cache: OverrideCache


@dataclass(frozen=True)
class Failure:
    """An instance that is not as desired. `skipped`: it was not tried, since another failed before it."""

    layer: str
    target: Target
    reason: str
    skipped: bool = False
    stack_id: str = ""


def held_back(reason: str) -> str:
    """The reason of a failure where something else would become of a target now than was agreed to."""
    return f"held back: {reason}; plan again and agree to that"


@dataclass
class Report:
    """The end of a run."""

    operations: int = 0
    succeeded: dict[str, int] = field(default_factory=Counter)
    """Number of instances that are as desired, by layer."""
    failures: list[Failure] = field(default_factory=list)
    stopped: str = ""
    """Reason why later waves did not begin; empty when all did."""

    @property
    def good(self) -> bool:
        """True where everything is as desired."""
        return not self.failures and not self.stopped

    @property
    def failed(self) -> list[Failure]:
        """Failures of targets that were tried."""
        return [each for each in self.failures if not each.skipped]

    def causes(self, *, skipped: bool = False) -> Mapping[str, list[Failure]]:
        """Failures of targets that were tried, or that were skipped, by their reason, the most frequent first."""
        groups = grouped((each.reason, each) for each in self.failures if each.skipped is skipped)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))
