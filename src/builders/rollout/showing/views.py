"""What `status` and `drift` found, as values: whoever reads the world fills them, text and JSON are made of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from builders.rollout.model import Deployed, Instance, Operation, Place, Status


class Mark(enum.Enum):
    """How one instance stands; the members go from what a person must see first to what is well."""

    INOPERABLE = "inoperable"
    FAILED = "failed"
    """An operation or the plain stack failed there."""
    HELD = "held back"
    """Not tried, since another failed before it."""
    OUTDATED = "outdated"
    """The set was changed, and the instance was not."""
    RUNNING = "running"
    PENDING = "pending"
    MISSING = "missing"
    """It shall be there, and is not."""
    LEAVING = "leaving"
    """It is there, and shall not be."""
    CURRENT = "current"


@dataclass(frozen=True)
class Standing:
    """One instance as it stands. `drift` is StackInstance.DriftStatus; a plain stack's is NOT_CHECKED."""

    mark: Mark
    reason: str = ""
    drift: str = "NOT_CHECKED"
    stack_id: str = ""

    @classmethod
    def of(cls, instance: Instance | None, wanted: bool = True) -> Standing:
        """An instance of a stack set; None is one that is not there. `wanted`: the phase names its place."""
        if instance is None:
            return cls(Mark.MISSING)
        mark = of_word(instance.detailed if instance.status is Status.OUTDATED else instance.status.value)
        if instance.status is Status.OUTDATED and mark is Mark.CURRENT:
            mark = Mark.OUTDATED
        if mark is Mark.CURRENT and not wanted:
            mark = Mark.LEAVING
        return cls(mark, instance.reason, instance.drift, instance.stack_id)

    @classmethod
    def of_plain(cls, stack: Deployed | None, wanted: bool = True) -> Standing:
        """A stack of the network account; None is one that is not there."""
        if stack is None:
            return cls(Mark.MISSING)
        if stack.status.endswith("_IN_PROGRESS"):
            return cls(Mark.RUNNING, stack.status)
        if not stack.status.endswith("_COMPLETE") or "ROLLBACK" in stack.status:
            return cls(Mark.FAILED, stack.status)
        return cls(Mark.CURRENT if wanted else Mark.LEAVING)


_MARKS = {
    "CURRENT": Mark.CURRENT,
    "SUCCEEDED": Mark.CURRENT,
    "OUTDATED": Mark.OUTDATED,
    "CANCELLED": Mark.HELD,
    "SKIPPED_SUSPENDED_ACCOUNT": Mark.HELD,
    "FAILED_IMPORT": Mark.FAILED,
    "FAILED": Mark.FAILED,
    "INOPERABLE": Mark.INOPERABLE,
    "RUNNING": Mark.RUNNING,
    "PENDING": Mark.PENDING,
    "held back": Mark.HELD,
    "absent": Mark.PENDING,
}


def of_word(word: str) -> Mark:
    """The mark of a word that StackSets or the rollout's loop says of an instance; one never heard of is running."""
    return _MARKS.get(word, Mark.RUNNING)


@dataclass(frozen=True)
class RunningOperation:
    """An operation that is not over, on the stack set of a layer."""

    layer: str
    operation: Operation


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that holds the lock or failed. `command` is what it is for; `began` is an ISO time."""

    id: str
    command: str
    release: str
    owner: str
    began: str
    status: str


@dataclass(frozen=True)
class StatusView:
    """A phase as it stands.

    `layers` are in the order in which they go, `regions` likewise; `standings` has every place of every layer, those
    that shall be there and those that are. `release` is the last one that was rolled out whole, at `released` (an ISO
    time); both are empty before the first.
    """

    phase: str
    layers: tuple[str, ...]
    regions: tuple[str, ...]
    standings: Mapping[str, Mapping[Place, Standing]]
    running: tuple[RunningOperation, ...] = ()
    release: str = ""
    released: str = ""
    unfinished: UnfinishedRun | None = None
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every instance is current and none has drifted."""
        return not self.unfinished and all(
            each.mark is Mark.CURRENT and each.drift != "DRIFTED"
            for by_place in self.standings.values()
            for each in by_place.values()
        )


@dataclass(frozen=True)
class Drifted:
    """One property of one resource that is not as its template says.

    `difference` is StackResourceDriftStatus or PropertyDifference.DifferenceType (MODIFIED, DELETED, ADD, REMOVE,
    NOT_EQUAL). A resource that was deleted has no property.
    """

    layer: str
    place: Place
    resource: str
    type: str
    difference: str
    property: str = ""
    expected: str = ""
    actual: str = ""


@dataclass(frozen=True)
class DriftView:
    """What drift detection found. `checked` counts the instances looked at; `unchecked` are the others, and why."""

    phase: str
    checked: int
    drifted: tuple[Drifted, ...]
    unchecked: Mapping[tuple[str, Place], str] = field(default_factory=dict)
